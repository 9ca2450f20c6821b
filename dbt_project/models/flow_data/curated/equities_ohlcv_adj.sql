-- One row per security and session of accepted bars, as known at as_of.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_stale_securities() }}") }}
with bars as (
    select bars.*
    from {{ ref('equities_bars_asof') }} as bars
    {% if is_incremental() %}
    inner join {{ stale_securities(this) }} as stale
        on bars.security_id = stale.security_id and bars.session_date >= stale.from_date - 400
    {% endif %}
    where bars.reject_reason is null
),

events as (
    select
        security_id,
        ex_date,
        coalesce(max(ratio) filter (where event_type = 'split'), 1)
        * coalesce(max(ratio) filter (where event_type = 'stock_dividend'), 1) as ratio,
        coalesce(max(cash_usd) filter (where event_type = 'dividend'), 0)
        + coalesce(max(cash_usd) filter (where event_type = 'special_dividend'), 0) as cash_usd
    from {{ ref('corp_actions') }}
    where reject_reason is null
    group by security_id, ex_date
),

accepted as (
    select
        security_id,
        session_date,
        close
    from {{ ref('equities_bars_asof') }}
    where reject_reason is null
),

-- An event whose ex-date has no accepted bar takes effect on the next one.
placed as (
    select
        events.security_id,
        accepted.session_date,
        list_product(list(events.ratio order by events.ex_date)) as ratio,
        list_sum(list(events.cash_usd order by events.ex_date)) as cash_usd,
        any_value(accepted.close) as close
    from events
    asof inner join accepted
        on events.security_id = accepted.security_id and events.ex_date <= accepted.session_date
    group by events.security_id, accepted.session_date
),

-- Multiplied in one fixed order, left to right, so that the same events give the same bits in any build.
factors as (
    select
        security_id,
        session_date,
        ratio,
        cash_usd,
        list_product(list(ratio) over so_far) as split_factor,
        list_product(list(ratio * (close + cash_usd) / close) over so_far) as total_return_factor
    from placed
    window so_far as (partition by security_id order by session_date rows unbounded preceding)
),

adjusted as (
    select
        bars.*,
        coalesce(today.ratio, 1) as split_ratio,
        coalesce(today.cash_usd, 0) as dividend_usd,
        coalesce(so_far.split_factor, 1) as split_factor,
        coalesce(so_far.total_return_factor, 1) as total_return_factor,
        lag(bars.close) over (partition by bars.security_id order by bars.session_date) as previous_close
    from bars
    left join factors as today on bars.security_id = today.security_id and bars.session_date = today.session_date
    asof left join factors as so_far
        on bars.security_id = so_far.security_id and bars.session_date >= so_far.session_date
),

returns as (
    select
        *,
        split_ratio * (close + dividend_usd) / previous_close - 1 as ret
    from adjusted
),

final as (
    select
        security_id,
        symbol,
        session_date,
        open,
        high,
        low,
        close,
        vwap,
        volume,
        trades,
        split_ratio,
        dividend_usd,
        split_factor,
        total_return_factor,
        close * split_factor as close_split_adj,
        close * total_return_factor as close_total_return,
        case when abs(ret) <= {{ threshold('max_abs_return') }} then ret end as ret,
        close * volume as dollar_volume_usd,
        flag,
        source_name,
        known_at,
        ingested_at
    from returns
)

select final.*
from final
{% if is_incremental() %}
inner join {{ stale_securities(this) }} as stale
    on final.security_id = stale.security_id and final.session_date >= stale.from_date
{% endif %}
order by final.security_id, final.session_date
