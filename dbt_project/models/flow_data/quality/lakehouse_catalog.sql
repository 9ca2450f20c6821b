-- One row per asset class and security.
with status as (
    select
        case table_name when 'curated/crypto_ohlcv' then 'crypto' else 'equity' end as asset_class,
        symbol as security_id,
        count(*) filter (where status = 'GREEN') / count(*) as data_quality_score
    from {{ ref('partition_status') }}
    where table_name in ('curated/equities_ohlcv_adj', 'curated/crypto_ohlcv')
    group by table_name, symbol
),

bars as (
    select
        security_id,
        symbol,
        'equity' as asset_class,
        session_date,
        close,
        known_at
    from {{ ref('equities_ohlcv_adj') }}
    union all
    select
        security_id,
        symbol,
        'crypto' as asset_class,
        session_date,
        close,
        known_at
    from {{ ref('crypto_ohlcv') }}
    where reject_reason is null
),

securities as (
    select
        asset_class,
        security_id,
        arg_max(symbol, session_date) as symbol,
        min(session_date) as start_date,
        max(session_date) as end_date,
        count(*) as bars,
        max(known_at) as fresh_at,
        arg_max(close, session_date) as last_close
    from bars
    group by asset_class, security_id
),

steps as (
    select
        securities.asset_class,
        securities.security_id,
        rules.tick_size_usd as tick_size,
        rules.lot_size_shares as lot_size
    from securities
    inner join {{ ref('tick_size_regime') }} as rules
        on
            securities.asset_class = rules.asset_class
            and securities.end_date >= rules.valid_from
            and securities.last_close >= rules.min_price_usd
            and securities.last_close < rules.max_price_usd
    qualify row_number() over (partition by securities.asset_class, securities.security_id order by rules.valid_from desc) = 1
    union all
    select
        securities.asset_class,
        securities.security_id,
        nullif(metadata.tick_size, 0) as tick_size,
        nullif(metadata.lot_size, 0) as lot_size
    from securities
    inner join {{ ref('symbol_metadata') }} as metadata
        on securities.symbol = metadata.symbol and securities.asset_class = metadata.asset_class
    where securities.asset_class = 'crypto' and metadata.valid_to_at is null
),

final as (
    select
        securities.security_id,
        securities.symbol,
        securities.asset_class,
        securities.start_date,
        securities.end_date,
        securities.bars,
        securities.fresh_at,
        status.data_quality_score,
        steps.tick_size,
        steps.lot_size,
        cast(
            length(regexp_extract(cast(cast(steps.tick_size as decimal(38, 12)) as varchar), '\.(\d*[1-9])', 1))
            as bigint
        ) as price_precision
    from securities
    left join status on securities.asset_class = status.asset_class and securities.security_id = status.security_id
    left join steps on securities.asset_class = steps.asset_class and securities.security_id = steps.security_id
)

select * from final
order by asset_class, security_id
