-- One row per eligible security and session: which barrier a position entered at the next session's close meets first within ten
-- sessions: profit at +2 sigma (label 1), stop at -1 sigma (label -1) or time (0). Sigma is the deviation of the 20 returns before
-- the decision session, at least 10. A bar that touches both barriers counts as the stop; a gap through a barrier exits at the open.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe')], 60) }}"
) }}
{%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('universe')], 60) if is_incremental() %}
{%- set horizon = 10 %}
with bars as (
    select
        security_id,
        symbol,
        session_date,
        open * total_return_factor as open,
        high * total_return_factor as high,
        low * total_return_factor as low,
        close_total_return as close,
        cast(round(ret * 1e9) as hugeint) as r,
        known_at
    from {{ ref('equities_ohlcv_adj') }}
    {% if is_incremental() %}
    where session_date >= {{ history_from([ref('equities_ohlcv_adj')], from_date, 30) }}
    {% endif %}
),

entries as (
    select
        *,
        lag(session_date) over path as decision_date,
        lag(symbol) over path as decision_symbol,
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
        lead(close, {{ horizon }}) over path as close_last
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
    where sigma > 0 and decision_date is not null
),

-- The step and side of the first touch: 2k is the stop at step k, 2k + 1 the profit; -1 is time.
touched as (
    select
        *,
        case
            {%- for k in range(1, horizon + 1) %}
            when low_{{ k }} <= stop then {{ 2 * k }}
            when high_{{ k }} >= profit then {{ 2 * k + 1 }}
            {%- endfor %}
            when close_last is not null then -1
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
            else date_{{ horizon }}
        end as exit_date,
        case
            {%- for k in range(1, horizon + 1) %}
            when touch = {{ 2 * k }} then least(open_{{ k }}, stop)
            when touch = {{ 2 * k + 1 }} then greatest(open_{{ k }}, profit)
            {%- endfor %}
            else close_last
        end as exit_price
    from touched
    where touch is not null
),

final as (
    select
        exits.security_id,
        exits.decision_symbol as symbol,
        exits.decision_date as session_date,
        exits.session_date as t0,
        exits.exit_date as t1,
        cast(case when exits.touch = -1 then 0 when exits.touch % 2 = 1 then 1 else -1 end as integer) as label,
        exits.exit_price / exits.close - 1 as ret,
        case when exits.touch = -1 then 'time' when exits.touch % 2 = 1 then 'profit' else 'stop' end as barrier,
        exits.sigma as sigma_daily,
        calendars.close_at as known_at
    from exits
    inner join {{ ref('universe') }} as universe
        on exits.security_id = universe.security_id and exits.decision_date = universe.session_date
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and exits.exit_date = calendars.session_date
    where
        universe.is_eligible
        {%- if is_incremental() %}
        and exits.decision_date >= {{ from_date }}
        {%- endif %}
        and exits.exit_date <= exits.decision_date + 50
)

select * from final
order by session_date, security_id
