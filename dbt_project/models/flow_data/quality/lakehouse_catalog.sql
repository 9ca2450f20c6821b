-- One row per security: what the lake holds of it and how good it is (S1 3.1).
with status as (
    select
        symbol as security_id,
        count(*) filter (where status = 'GREEN') / count(*) as data_quality_score
    from {{ ref('partition_status') }}
    where table_name in ('curated/equities_ohlcv_adj', 'curated/crypto_ohlcv')
    group by symbol
),

bars as (
    select
        security_id,
        symbol,
        'equity' as asset_class,
        session_date,
        known_at
    from {{ ref('equities_ohlcv_adj') }}
    union all
    select
        security_id,
        symbol,
        'crypto' as asset_class,
        session_date,
        known_at
    from {{ ref('crypto_ohlcv') }}
    where reject_reason is null
),

final as (
    select
        bars.security_id,
        arg_max(bars.symbol, bars.session_date) as symbol,
        any_value(bars.asset_class) as asset_class,
        min(bars.session_date) as start_date,
        max(bars.session_date) as end_date,
        count(*) as bars,
        max(bars.known_at) as fresh_at,
        any_value(status.data_quality_score) as data_quality_score
    from bars
    left join status on bars.security_id = status.security_id
    group by bars.security_id
)

select * from final
order by asset_class, security_id
