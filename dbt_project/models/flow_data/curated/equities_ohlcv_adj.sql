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
        + coalesce(max(cash_usd) filter (where event_type = 'special_dividend'), 0) as cash_usd,
        bool_or(reject_reason is not null) as is_ambiguous
    from {{ ref('corp_actions') }}
    where reject_reason is null or reject_reason = 'RATIO_AMBIGUOUS'
    group by security_id, ex_date
),

-- Every accepted bar of the securities that are written, beside the one before it.
accepted as (
    select
        bars.security_id,
        bars.session_date,
        bars.close,
        lag(bars.session_date) over path as previous_date,
        lag(bars.close) over path as previous_close
    from {{ ref('equities_bars_asof') }} as bars
    {% if is_incremental() %}
    inner join {{ stale_securities(this) }} as stale on bars.security_id = stale.security_id
    {% endif %}
    where bars.reject_reason is null
    window path as (partition by bars.security_id order by bars.session_date)
),

-- An event whose ex-date has no accepted bar takes effect on the next one.
placed as (
    select
        events.security_id,
        accepted.session_date,
        list_product(list(events.ratio order by events.ex_date)) as ratio,
        list_sum(list(events.cash_usd order by events.ex_date)) as cash_usd,
        bool_or(events.is_ambiguous) as is_ambiguous
    from events
    asof inner join accepted
        on events.security_id = accepted.security_id and events.ex_date <= accepted.session_date
    group by events.security_id, accepted.session_date
),

moves as (
    select
        accepted.*,
        coalesce(placed.ratio, 1) as ratio,
        coalesce(placed.cash_usd, 0) as cash_usd,
        case
            when accepted.session_date - accepted.previous_date > {{ threshold('identity_gap_days') }} then 'LONG_GAP'
            when placed.is_ambiguous then 'RATIO_AMBIGUOUS'
            when placed.ratio <> 1 and {{ is_denied('accepted.previous_close / accepted.close', 'placed.ratio') }}
                then 'RATIO_CONTRADICTS_PRICE'
            when
                coalesce(placed.ratio, 1) = 1 and {{ is_suspected_split('accepted.previous_close / accepted.close') }}
                then 'SPLIT_SUSPECTED'
        end as doubt
    from accepted
    left join placed on accepted.security_id = placed.security_id and accepted.session_date = placed.session_date
),

judged as (
    select
        *,
        case
            when doubt is null then true
            when doubt = 'SPLIT_SUSPECTED' then {{ threshold('drop_suspected_splits') }} = 0
            else false
        end as is_explained
    from moves
),

returns as (
    select
        * replace (
            case when is_explained then ratio else 1 end as ratio,
            case when is_explained then cash_usd else 0 end as cash_usd
        ),
        case
            when is_explained and abs(ratio * (close + cash_usd) / previous_close - 1) <= {{ threshold('max_abs_return') }}
                then ratio * (close + cash_usd) / previous_close - 1
        end as ret
    from judged
),

-- Where the return is not known the level stays as it was, as if nothing had been earned or lost.
steps as (
    select
        security_id,
        session_date,
        case when ret is null then previous_close / close else ratio end as split_step,
        case when ret is null then previous_close / close else ratio * (close + cash_usd) / close end as total_return_step
    from returns
    where previous_close is not null and (ret is null or ratio <> 1 or cash_usd <> 0)
),

-- Multiplied in one fixed order, left to right, so that the same events give the same bits in any build.
factors as (
    select
        security_id,
        session_date,
        list_product(list(split_step) over so_far) as split_factor,
        list_product(list(total_return_step) over so_far) as total_return_factor
    from steps
    window so_far as (partition by security_id order by session_date rows unbounded preceding)
),

adjusted as (
    select
        bars.*,
        returns.ratio as split_ratio,
        returns.cash_usd as dividend_usd,
        returns.doubt,
        returns.ret,
        coalesce(so_far.split_factor, 1) as split_factor,
        coalesce(so_far.total_return_factor, 1) as total_return_factor
    from bars
    inner join returns on bars.security_id = returns.security_id and bars.session_date = returns.session_date
    asof left join factors as so_far
        on bars.security_id = so_far.security_id and bars.session_date >= so_far.session_date
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
        ret,
        close * volume as dollar_volume_usd,
        coalesce(doubt, flag) as flag,
        source_name,
        known_at,
        ingested_at
    from adjusted
)

select final.*
from final
{% if is_incremental() %}
inner join {{ stale_securities(this) }} as stale
    on final.security_id = stale.security_id and final.session_date >= stale.from_date
{% endif %}
order by final.security_id, final.session_date
