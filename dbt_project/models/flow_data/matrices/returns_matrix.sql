-- One row per security and session that has a return.
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
    on {{ symbol_as_of('bars', 'session_date', keys=['security_id', 'symbol']) }}
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
