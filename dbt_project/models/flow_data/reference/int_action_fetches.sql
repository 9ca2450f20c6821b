-- One row per fetch of splits or dividends, family of events and security that was named, or * for all.
with fetches as (
    select
        ingest_id,
        vendor,
        unnest(
            case dataset
                when 'corp_actions_splits' then ['split']
                when 'corp_actions_dividends' then ['dividend']
                else ['split', 'dividend']
            end
        ) as event_family,
        nullif(symbols, '') as symbols,
        coalesce(window_start_date, date '0001-01-01') as start_date,
        -- A symbol's whole history ends with the day of asking.
        coalesce(window_end_date, cast(ingested_at as date)) as end_date,
        ingested_at
    from {{ ref('raw_fetches') }}
    where
        ingested_at <= {{ as_of() }}
        and (
            (vendor = 'alpaca' and dataset = 'corp_actions')
            or (
                vendor in ('massive', 'fmp', 'alphavantage')
                and dataset in ('corp_actions_splits', 'corp_actions_dividends')
            )
        )
),

named as (
    select
        *,
        unnest(string_split(symbols, ',')) as symbol
    from fetches
    where symbols is not null
),

final as (
    select
        fetches.ingest_id,
        fetches.vendor,
        fetches.event_family,
        '*' as security_id,
        fetches.start_date,
        fetches.end_date,
        fetches.ingested_at
    from fetches
    where fetches.symbols is null
    union all
    select distinct
        named.ingest_id,
        named.vendor,
        named.event_family,
        spells.security_id,
        named.start_date,
        named.end_date,
        named.ingested_at
    from named
    inner join {{ ref('int_spells') }} as spells on named.symbol = spells.symbol and spells.asset_class = 'equity'
)

select * from final
