-- One row per bar that broke a rule or that deserves a look.
with equities as (
    select
        security_id,
        symbol,
        'equity' as asset_class,
        session_date,
        coalesce(reject_reason, flag) as reason,
        case when reject_reason is null then 'flagged' else 'rejected' end as verdict,
        open,
        high,
        low,
        close,
        volume,
        source_name,
        known_at,
        ingest_id
    from {{ ref('equities_bars_asof') }}
    where reject_reason is not null or flag is not null
),

crypto as (
    select
        security_id,
        symbol,
        'crypto' as asset_class,
        session_date,
        reject_reason as reason,
        'rejected' as verdict,
        open,
        high,
        low,
        close,
        volume,
        source_name,
        known_at,
        cast(null as varchar) as ingest_id
    from {{ ref('crypto_ohlcv') }}
    where reject_reason is not null
),

misdated as (
    select
        bars.*,
        'equity' as asset_class,
        {{ implausible_date('bars', 'equities') }} as reason
    from {{ ref('raw_equities_bars') }} as bars
    where reason is not null
    union all by name
    select
        bars.*,
        'crypto' as asset_class,
        {{ implausible_date('bars', 'crypto') }} as reason
    from {{ ref('raw_crypto_bars') }} as bars
    where reason is not null
),

-- A date that nobody can believe belongs to no security: the ticker stands for it. The newest fetch speaks.
set_aside as (
    select
        coalesce(symbol, '') as security_id,
        coalesce(symbol, '') as symbol,
        asset_class,
        coalesce(session_date, date '0001-01-01') as session_date,
        reason,
        'rejected' as verdict,
        open,
        high,
        low,
        close,
        volume,
        source_name,
        ingested_at as known_at,
        ingest_id
    from misdated
    where ingested_at <= {{ as_of() }}
    qualify row_number() over (
        partition by asset_class, coalesce(symbol, ''), coalesce(session_date, date '0001-01-01')
        order by ingested_at desc, ingest_id desc, open desc, high desc, low desc, close desc, volume desc
    ) = 1
),

-- What was fetched again when its day had come is no longer set aside.
believed as (
    select
        'equity' as asset_class,
        unnest([security_id, symbol]) as name,
        session_date
    from {{ ref('equities_bars_asof') }}
    union all
    select
        'crypto' as asset_class,
        security_id as name,
        session_date
    from {{ ref('crypto_ohlcv') }}
),

final as (
    select * from equities
    union all
    select * from crypto
    union all
    select set_aside.*
    from set_aside
    anti join believed
        on
            set_aside.asset_class = believed.asset_class
            and set_aside.security_id = believed.name
            and set_aside.session_date = believed.session_date
)

select * from final
order by asset_class, security_id, session_date
