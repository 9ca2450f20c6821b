-- One row per symbol and period in which its vendor said the same of it, as known at as_of.
with assets as (
    select
        symbol,
        'equity' as asset_class,
        exchange,
        name,
        status,
        is_tradable,
        ingested_at,
        ingest_id
    from {{ ref('raw_assets') }}
    where ingested_at <= {{ as_of() }} and symbol is not null
    -- A ticker that is used again has the id of each of its companies; the one that trades speaks for it.
    qualify row_number() over (
        partition by symbol, ingest_id
        order by status = 'active' desc, asset_id desc, exchange desc, name desc, is_tradable desc
    ) = 1
),

pairs as (
    select
        symbol,
        'crypto' as asset_class,
        'BINANCE' as exchange,
        status,
        tick_size,
        lot_size,
        min_notional_usd,
        ingested_at,
        ingest_id
    from {{ ref('raw_exchange_filters') }}
    where ingested_at <= {{ as_of() }} and symbol is not null
    -- An answer that says two things of a pair says nothing of it.
    window
        answer as (
            partition by symbol, ingest_id order by status
            rows between unbounded preceding and unbounded following
        )
    qualify
        min(struct_pack(status, tick_size, lot_size, min_notional_usd)) over answer
        = max(struct_pack(status, tick_size, lot_size, min_notional_usd)) over answer
        and row_number() over answer = 1
),

told as (
    select * from assets
    union all by name
    select * from pairs
),

-- Of two files that were landed at one time the later one counts.
landings as (
    select * from told
    qualify row_number() over (partition by asset_class, symbol, ingested_at order by ingest_id desc) = 1
),

compared as (
    select
        *,
        struct_pack(exchange, name, status, is_tradable, tick_size, lot_size, min_notional_usd) as said,
        (lag(said) over path is distinct from said) as is_change
    from landings
    window path as (partition by asset_class, symbol order by ingested_at, ingest_id)
),

final as (
    select
        symbol,
        asset_class,
        exchange,
        name,
        status,
        is_tradable,
        tick_size,
        lot_size,
        min_notional_usd,
        ingested_at as valid_from_at,
        lead(ingested_at) over (
            partition by asset_class, symbol
            order by ingested_at, ingest_id
        ) as valid_to_at,
        ingest_id
    from compared
    where is_change
)

select * from final
order by asset_class, symbol, valid_from_at
