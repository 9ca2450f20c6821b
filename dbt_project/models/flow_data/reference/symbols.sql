-- One row per spell of a ticker, as known at as_of.
with spells as (
    select * from {{ ref('int_spells') }}
),

-- A company has its asset under its last ticker, of which the newest spell is the active asset's and earlier ones the inactive assets'.
last_tickers as (
    select
        security_id,
        symbol,
        row_number() over (partition by symbol order by spell desc) as place
    from spells
    where asset_class = 'equity' and ended_by is distinct from 'renamed'
),

-- The vendor does not date its assets: the one that it was seen to list last is taken for the latest.
landed as (
    select
        *,
        status = 'active' and ingested_at = max(ingested_at) over (partition by asset_id) as is_active
    from {{ as_landed(ref('raw_assets'), ['asset_id', 'symbol']) }}
),

listed as (
    select
        *,
        row_number() over (partition by symbol order by is_active desc, ingested_at desc, asset_id asc) as place
    from landed
),

assets as (
    select
        last_tickers.security_id,
        listed.*
    from last_tickers
    inner join listed on last_tickers.symbol = listed.symbol and last_tickers.place = listed.place
),

sectors as (
    select
        *,
        'equity' as applies_to
    from {{ as_landed(ref('raw_sectors'), ['symbol']) }}
),

filters as (
    select
        *,
        'crypto' as applies_to
    from {{ as_landed(ref('raw_exchange_filters'), ['symbol']) }}
),

final as (
    select
        spells.security_id,
        spells.symbol,
        spells.asset_class,
        case spells.asset_class
            when 'crypto' then 'BINANCE' else coalesce(assets.exchange, sectors.exchange)
        end as exchange,
        case spells.asset_class when 'crypto' then 'UTC_24X7' else 'XNYS' end as calendar,
        coalesce(assets.name, sectors.name) as name,
        sectors.asset_type,
        sectors.sector,
        sectors.industry,
        filters.tick_size,
        filters.lot_size,
        spells.valid_from,
        spells.valid_to,
        spells.ended_by,
        assets.asset_id,
        assets.status as asset_status,
        false as is_sector_point_in_time,
        case when spells.spell > 1 then spells.valid_from end as known_from_date
    from spells
    left join assets on spells.security_id = assets.security_id and spells.asset_class = 'equity'
    left join sectors on spells.symbol = sectors.symbol and spells.asset_class = sectors.applies_to
    left join filters on spells.symbol = filters.symbol and spells.asset_class = filters.applies_to
)

select * from final
order by symbol, asset_class, valid_from
