-- One row per pair and UTC day, as known at as_of.
with bars as (
    select * from {{ ref('raw_crypto_bars') }} as bars
    where {{ implausible_date('bars', 'crypto') }} is null
),

{{ one_bar_per_answer('bars', ['open', 'high', 'low', 'close', 'vwap', 'volume', 'quote_volume_usd', 'trades']) }},

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
        case
            when versions.version_number > 1 then versions.ingested_at
            else
                coalesce(
                    late.known_at,
                    versions.event_at + interval '1 day'
                    + to_minutes(cast({{ threshold('publication_lag_crypto') }} as integer))
                )
        end as known_at
    from versions
    left join {{ ref('late_bars') }} as late
        on
            late.asset_class = 'crypto'
            and versions.symbol = late.symbol
            and versions.session_date = late.session_date
    where versions.version_number = 1 or versions.is_different
),

known as (
    select * from dated
    where known_at <= {{ as_of() }}
    qualify row_number() over (partition by symbol, session_date order by version_number desc) = 1
),

checked as (
    select
        *,
        coalesce(
            {{ broken_rule('known', 'crypto') }},
            case
                when known.quote_volume_usd < 0 then 'VOLUME_NEGATIVE'
                when known.quote_volume_usd > {{ threshold('max_quote_volume') }} then 'VOLUME_IMPLAUSIBLE'
            end
        ) as broken_rule
    from known
),

moves as (
    select
        *,
        close / lag(close) over path as growth
    from checked
    window path as (partition by symbol, broken_rule is null order by session_date)
),

{{ paths_and_judged('symbol') }},

returns as (
    select
        *,
        close / lag(close) over (
            partition by symbol, reject_reason is null
            order by session_date
        ) - 1 as ret
    from judged
),

final as (
    select
        symbol as security_id,
        symbol,
        session_date,
        open,
        high,
        low,
        close,
        vwap,
        volume,
        quote_volume_usd,
        case when reject_reason is null and abs(ret) <= {{ threshold('max_abs_return') }} then ret end as ret,
        reject_reason,
        source_name,
        known_at,
        ingested_at
    from returns
)

select * from final
order by symbol, session_date
