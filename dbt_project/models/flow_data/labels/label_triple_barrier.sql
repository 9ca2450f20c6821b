-- One row per eligible security and session, known when the bar that ends the window is.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], 60) }}"
) }}
{%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], 60) if is_incremental() %}
{%- set horizon = 10 %}
with bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        calendars.session_number,
        row_number() over (partition by bars.security_id order by bars.session_date) as place,
        bars.open * bars.total_return_factor as open,
        bars.high * bars.total_return_factor as high,
        bars.low * bars.total_return_factor as low,
        bars.close_total_return as close,
        cast(round(bars.ret * 1e9) as hugeint) as r,
        bars.known_at,
        delistings.known_at as delisted_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and bars.session_date = calendars.session_date
    left join {{ ref('delistings') }} as delistings on bars.security_id = delistings.security_id
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
        lead(session_date, {{ k }}) over path as date_{{ k }},
        lead(open, {{ k }}) over path as open_{{ k }},
        lead(high, {{ k }}) over path as high_{{ k }},
        lead(low, {{ k }}) over path as low_{{ k }}
        {%- endfor %},
        lead(close, {{ horizon }}) over path as close_{{ horizon }},
        last_value(session_date) over whole as last_date,
        last_value(close) over whole as last_close
    from bars
    window
        path as (partition by security_id order by session_date),
        whole as (partition by security_id order by session_date rows between unbounded preceding and unbounded following),
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

-- The step and side of the first touch: 2k is the stop at step k, 2k + 1 the profit; -1 is time, -2 the last bar of a delisted one.
touched as (
    select
        *,
        case
            {%- for k in range(1, horizon + 1) %}
            when low_{{ k }} <= stop then {{ 2 * k }}
            when high_{{ k }} >= profit then {{ 2 * k + 1 }}
            {%- endfor %}
            when close_{{ horizon }} is not null then -1
            when delisted_at is not null and last_date > session_date then -2
        end as touch
    from barriers
),

exits as (
    select
        *,
        case
            {%- for k in range(1, horizon + 1) %}
            when touch in ({{ 2 * k }}, {{ 2 * k + 1 }}) then date_{{ k }}
            {%- endfor %}
            when touch = -1 then date_{{ horizon }}
            else last_date
        end as exit_date,
        case
            {%- for k in range(1, horizon + 1) %}
            when touch = {{ 2 * k }} then least(open_{{ k }}, stop)
            when touch = {{ 2 * k + 1 }} then greatest(open_{{ k }}, profit)
            {%- endfor %}
            when touch = -1 then close_{{ horizon }}
            else last_close
        end as exit_price
    from touched
    where touch is not null
),

labelled as (
    select
        exits.security_id,
        exits.decision_symbol as symbol,
        exits.decision_date as session_date,
        exits.session_date as t0,
        exits.exit_date as t1,
        cast(case when exits.touch < 0 then 0 when exits.touch % 2 = 1 then 1 else -1 end as integer) as label,
        exits.exit_price / exits.close - 1 as ret,
        case when exits.touch < 0 then 'time' when exits.touch % 2 = 1 then 'profit' else 'stop' end as barrier,
        exits.sigma as sigma_daily,
        case when exits.touch = -2 then greatest(ends.known_at, exits.delisted_at) else ends.known_at end as known_at
    from exits
    inner join {{ ref('universe') }} as universe
        on exits.security_id = universe.security_id and exits.decision_date = universe.session_date
    inner join bars as ends
        on
            exits.security_id = ends.security_id
            and exits.exit_date = ends.session_date
    where
        universe.is_eligible
        {%- if is_incremental() %}
        and exits.decision_date >= {{ from_date }}
        {%- endif %}
        and ends.place - exits.place = ends.session_number - exits.session_number
),

final as (
    select * from labelled
    where known_at <= {{ as_of() }}
)

select * from final
order by session_date, security_id
