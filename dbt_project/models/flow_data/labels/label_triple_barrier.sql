-- One row per eligible security and session, known when the position's end is.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], days_until_resolved()) }}"
) }}
{%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], days_until_resolved())
    if is_incremental() %}
{%- set horizon = 10 %}
with interruptions as (
    select * from {{ ref('int_interruptions') }}
),

bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        calendars.session_number,
        bars.open * bars.total_return_factor * coalesce(interruptions.level, 1) as open,
        bars.high * bars.total_return_factor * coalesce(interruptions.level, 1) as high,
        bars.low * bars.total_return_factor * coalesce(interruptions.level, 1) as low,
        bars.close_total_return * coalesce(interruptions.level, 1) as close,
        coalesce(interruptions.faults, 0) as faults,
        cast(round(bars.ret * 1e9) as hugeint) as r,
        bars.known_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and bars.session_date = calendars.session_date
    asof left join interruptions
        on bars.security_id = interruptions.security_id and bars.session_date >= interruptions.next_date
    {% if is_incremental() %}
    where bars.session_date >= {{ history_from([ref('equities_ohlcv_adj')], from_date, 30) }}
    {% endif %}
),

entries as (
    select
        *,
        lag(session_date) over path as decision_date,
        lag(symbol) over path as decision_symbol,
        session_number - lag(session_number) over path as sessions_since_decision,
        case
            when count(r) over before >= 10
                then {{ exact_stddev('count(r) over before', 'sum(r) over before', 'sum(r * r) over before', 9) }}
        end as sigma
        {%- for k in range(1, horizon + 1) %},
        lead(session_number, {{ k }}) over path as number_{{ k }},
        lead(open, {{ k }}) over path as open_{{ k }},
        lead(high, {{ k }}) over path as high_{{ k }},
        lead(low, {{ k }}) over path as low_{{ k }}
        {%- endfor %},
        session_number + {{ horizon }} as end_number
    from bars
    window
        path as (partition by security_id order by session_date),
        before as (partition by security_id order by session_date rows between 21 preceding and 2 preceding)
),

barriers as (
    select
        *,
        close * (1 + {{ threshold('label_profit_sigma') }} * sigma) as profit,
        close * (1 - {{ threshold('label_stop_sigma') }} * sigma) as stop
    from entries
    where sigma > 0 and sessions_since_decision = 1
),

-- The bar and side of the first touch: 2k is the stop at the k-th bar, 2k + 1 the profit; null where time is up first.
touched as (
    select
        *,
        case
            {%- for k in range(1, horizon + 1) %}
            when number_{{ k }} > end_number then null
            when low_{{ k }} <= stop then {{ 2 * k }}
            when high_{{ k }} >= profit then {{ 2 * k + 1 }}
            {%- endfor %}
        end as touch
    from barriers
),

exits as (
    select
        *,
        case
            {%- for k in range(1, horizon + 1) %}
            when touch in ({{ 2 * k }}, {{ 2 * k + 1 }}) then number_{{ k }}
            {%- endfor %}
            else end_number
        end as exit_number,
        case
            {%- for k in range(1, horizon + 1) %}
            when touch = {{ 2 * k }} then least(open_{{ k }}, stop)
            when touch = {{ 2 * k + 1 }} then greatest(open_{{ k }}, profit)
            {%- endfor %}
        end as touch_price
    from touched
),

-- Where the last session has no bar the position is held: what it then gets, the pause says.
ended as (
    select
        exits.security_id,
        exits.decision_symbol,
        exits.decision_date,
        exits.session_date as entry_date,
        exits.close as entry_price,
        exits.profit,
        exits.stop,
        exits.sigma,
        coalesce(ends.session_date, interruptions.exit_date) as exit_date,
        coalesce(exits.touch_price, ends.close, interruptions.exit_price) as exit_price,
        case
            when exits.touch is not null then 'barrier'
            when ends.session_date is not null then 'horizon'
            else interruptions.exit_reason
        end as exit_reason,
        greatest(
            exits.known_at, case when ends.session_date is null then interruptions.known_at else ends.known_at end
        ) as known_at,
        exits.faults = case when ends.session_date is null then interruptions.faults_before else ends.faults end
            as is_told_right
    from exits
    left join bars as ends
        on exits.security_id = ends.security_id and exits.exit_number = ends.session_number
    asof left join interruptions
        on exits.security_id = interruptions.security_id and exits.exit_number > interruptions.last_number
),

labelled as (
    select
        ended.security_id,
        ended.decision_symbol as symbol,
        ended.decision_date as session_date,
        ended.entry_date as t0,
        ended.exit_date as t1,
        case
            when ended.exit_price >= ended.profit then 'profit'
            when ended.exit_price <= ended.stop then 'stop'
            else 'time'
        end as barrier,
        ended.exit_price / ended.entry_price - 1 as ret,
        ended.sigma as sigma_daily,
        ended.exit_reason,
        ended.known_at
    from ended
    inner join {{ ref('universe') }} as universe
        on ended.security_id = universe.security_id and ended.decision_date = universe.session_date
    where
        universe.is_eligible
        and ended.exit_reason is not null
        {%- if is_incremental() %}
        and ended.decision_date >= {{ from_date }}
        {%- endif %}
        and ended.is_told_right
),

final as (
    select
        security_id,
        symbol,
        session_date,
        t0,
        t1,
        cast(case barrier when 'profit' then 1 when 'stop' then -1 else 0 end as integer) as label,
        ret,
        barrier,
        exit_reason,
        sigma_daily,
        known_at
    from labelled
    where known_at <= {{ as_of() }}
)

select * from final
order by session_date, security_id
