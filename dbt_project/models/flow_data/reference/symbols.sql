-- One row per spell of a ticker, as known at as_of.
with recursive renames as (
    select
        old_symbol,
        new_symbol,
        coalesce(effective_date, ex_date, process_date) as renamed_on
    from {{ ref('raw_corp_actions') }}
    where
        action_type = 'name_changes'
        and old_symbol is not null
        and new_symbol is not null
        and old_symbol <> new_symbol
        and coalesce(effective_date, ex_date, process_date) <= cast({{ as_of() }} as date)
    group by all
),

tickers as (
    select distinct
        symbol,
        'equity' as asset_class
    from {{ ref('raw_equities_bars') }}
    union
    select distinct
        symbol,
        'equity' as asset_class
    from {{ ref('raw_assets') }}
    union
    select distinct
        symbol,
        'crypto' as asset_class
    from {{ ref('raw_crypto_bars') }}
),

spells as (
    select
        tickers.symbol,
        tickers.asset_class,
        lag(renames.renamed_on, 1, date '0001-01-01') over spells_of_symbol as valid_from,
        renames.renamed_on as valid_to,
        row_number() over spells_of_symbol as spell
    from tickers
    left join renames on tickers.symbol = renames.old_symbol
    window spells_of_symbol as (partition by tickers.symbol order by renames.renamed_on)
    union all
    select
        renames.old_symbol as symbol,
        'equity' as asset_class,
        max(renames.renamed_on) as valid_from,
        null as valid_to,
        count(*) + 1 as spell
    from renames
    group by renames.old_symbol
),

parents as (
    select
        spells.symbol,
        spells.spell,
        renames.old_symbol as parent_symbol,
        renames.renamed_on
    from spells
    inner join renames
        on
            spells.symbol = renames.new_symbol
            and spells.valid_from <= renames.renamed_on
            and (spells.valid_to is null or spells.valid_to > renames.renamed_on)
    qualify row_number() over (
        partition by spells.symbol, spells.spell
        order by renames.renamed_on desc
    ) = 1
),

identities as (
    select
        spells.symbol,
        spells.spell,
        spells.symbol || case when spells.spell > 1 then '#' || spells.spell else '' end as security_id,
        spells.valid_to
    from spells
    anti join parents on spells.symbol = parents.symbol and spells.spell = parents.spell
    union all
    select
        parents.symbol,
        parents.spell,
        identities.security_id,
        children.valid_to
    from identities
    inner join parents
        on identities.symbol = parents.parent_symbol and identities.valid_to = parents.renamed_on
    inner join spells as children
        on parents.symbol = children.symbol and parents.spell = children.spell
),

assets as (
    select
        *,
        'equity' as applies_to
    from {{ ref('raw_assets') }}
    qualify row_number() over (partition by symbol order by ingested_at desc, ingest_id desc, asset_id desc) = 1
),

sectors as (
    select
        *,
        'equity' as applies_to
    from {{ ref('raw_sectors') }}
    qualify row_number() over (partition by symbol order by ingested_at desc, ingest_id desc) = 1
),

filters as (
    select
        *,
        'crypto' as applies_to
    from {{ ref('raw_exchange_filters') }}
    qualify row_number() over (partition by symbol order by ingested_at desc, ingest_id desc) = 1
),

final as (
    select
        identities.security_id,
        spells.symbol,
        spells.asset_class,
        case spells.asset_class
            when 'crypto' then 'BINANCE' else coalesce(assets.exchange, sectors.exchange)
        end as exchange,
        case spells.asset_class when 'crypto' then 'UTC_24X7' else 'XNYS' end as calendar,
        coalesce(assets.name, sectors.name) as name,
        coalesce(sectors.asset_type, case spells.asset_class when 'equity' then 'common_stock' end) as asset_type,
        sectors.sector,
        sectors.industry,
        filters.tick_size,
        filters.lot_size,
        spells.valid_from,
        spells.valid_to,
        false as is_sector_point_in_time,
        case when spells.spell > 1 then spells.valid_from end as known_from_date
    from spells
    inner join identities on spells.symbol = identities.symbol and spells.spell = identities.spell
    left join assets on spells.symbol = assets.symbol and spells.asset_class = assets.applies_to
    left join sectors on spells.symbol = sectors.symbol and spells.asset_class = sectors.applies_to
    left join filters on spells.symbol = filters.symbol and spells.asset_class = filters.applies_to
)

select * from final
order by symbol, valid_from
