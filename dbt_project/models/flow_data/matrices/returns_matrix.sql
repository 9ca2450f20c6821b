-- One row per security and session that has a return: the long matrix that an alpha run pivots. Never padded: a session without a bar
-- has no row.
{{ config(materialized='view') }}
select
    bars.security_id,
    bars.symbol,
    symbols.exchange,
    'equity' as asset_class,
    bars.session_date,
    cast(bars.session_date as timestamp) at time zone 'UTC' as timestamp,
    bars.ret,
    bars.known_at
from {{ ref('equities_ohlcv_adj') }} as bars
left join {{ ref('symbols') }} as symbols
    on
        bars.security_id = symbols.security_id
        and bars.symbol = symbols.symbol
        and bars.session_date >= symbols.valid_from
        and (symbols.valid_to is null or bars.session_date < symbols.valid_to)
where bars.ret is not null
union all
select
    security_id,
    symbol,
    'BINANCE' as exchange,
    'crypto' as asset_class,
    session_date,
    cast(session_date as timestamp) at time zone 'UTC' as timestamp,
    ret,
    known_at
from {{ ref('crypto_ohlcv') }}
where ret is not null and reject_reason is null
