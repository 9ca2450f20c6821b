-- One row per security and session, as known at as_of.
-- depends_on: {{ ref('raw_corp_actions') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_stale_bars() }}") }}
with bars as (
    select bars.*
    from {{ ref('raw_equities_bars') }} as bars
    {% if is_incremental() %}
    inner join {{ stale_symbols(this) }} as stale
        on bars.symbol = stale.symbol and bars.session_date >= stale.from_date - 400
    {% endif %}
    where {{ implausible_date('bars', 'equities') }} is null
),

{{ one_bar_per_answer('bars', ['open', 'high', 'low', 'close', 'vwap', 'volume', 'trades']) }},

versions as (
    select
        *,
        row_number() over fetches as version_number,
        (
            lag(struct_pack(o := open, h := high, l := low, c := close, v := volume, x := is_conflicting)) over fetches
            is distinct from struct_pack(o := open, h := high, l := low, c := close, v := volume, x := is_conflicting)
        ) as is_different
    from answers
    window fetches as (partition by symbol, session_date order by ingested_at, ingest_id)
),

dated as (
    select
        versions.*,
        calendars.session_date is not null as is_session,
        case
            when versions.version_number > 1 then versions.ingested_at
            else
                coalesce(
                    late.known_at,
                    coalesce(calendars.close_at, versions.event_at + interval '16 hours')
                    + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer))
                )
        end as known_at
    from versions
    left join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and versions.session_date = calendars.session_date
    left join {{ ref('late_bars') }} as late
        on
            late.asset_class = 'equity'
            and versions.symbol = late.symbol
            and versions.session_date = late.session_date
    where versions.version_number = 1 or versions.is_different
),

known as (
    select * from dated
    where known_at <= {{ as_of() }}
    qualify row_number() over (partition by symbol, session_date order by version_number desc) = 1
),

identified as (
    select
        symbols.security_id,
        known.*,
        coalesce(
            {{ broken_rule('known', 'equities') }},
            case when not known.is_session then 'NO_SESSION' end
        ) as broken_rule
    from known
    inner join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('known', 'session_date', asset_class='equity') }}
),

usable as (
    select
        security_id,
        session_date
    from identified
    where broken_rule is null
),

-- A split whose ex-date has no usable bar takes effect on the next one.
splits as (
    select
        events.security_id,
        usable.session_date,
        list_product(list(events.ratio order by events.ex_date, events.event_type)) as ratio,
        bool_or(events.ratio is null) as is_ambiguous
    from {{ ref('corp_actions') }} as events
    asof inner join usable
        on events.security_id = usable.security_id and events.ex_date <= usable.session_date
    where
        events.event_type in ('split', 'stock_dividend')
        and (events.reject_reason is null or events.reject_reason = 'RATIO_AMBIGUOUS')
    group by events.security_id, usable.session_date
),

moves as (
    select
        identified.*,
        coalesce(splits.ratio, 1) as ratio,
        case
            when
                identified.session_date - lag(identified.session_date) over path > {{ threshold('identity_gap_days') }}
                then null
            -- A split that the price denies, or does not bear out, says nothing of the bar.
            when splits.is_ambiguous then null
            when splits.ratio is null or not {{ is_denied('lag(identified.close) over path / identified.close', 'splits.ratio') }}
                then coalesce(splits.ratio, 1) * identified.close / lag(identified.close) over path
        end as growth
    from identified
    left join splits
        on identified.security_id = splits.security_id and identified.session_date = splits.session_date
    window path as (partition by identified.security_id, identified.broken_rule is null order by identified.session_date)
),

{{ paths_and_judged('security_id') }},

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
        reject_reason,
        case
            when abs(growth - 1) > {{ threshold('warn_abs_return') }} or {{ is_fall('growth') }} then 'RET_OUTLIER'
            when volume = 0 then 'ZERO_VOLUME'
        end as flag,
        source_name,
        known_at,
        ingested_at,
        ingest_id
    from judged
)

select final.*
from final
{% if is_incremental() %}
inner join {{ stale_symbols(this) }} as stale on final.symbol = stale.symbol and final.session_date >= stale.from_date
{% endif %}
order by final.security_id, final.session_date
