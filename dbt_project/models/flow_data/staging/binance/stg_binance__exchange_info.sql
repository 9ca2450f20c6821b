-- One row per pair and fetch.
select
    symbol,
    status,
    base_asset,
    quote_asset,
    try_cast(tick_size as double) as tick_size,
    try_cast(step_size as double) as lot_size,
    try_cast(min_notional as double) as min_notional_usd,
    {{ envelope() }}
from {{ landed('binance', 'exchange_info') }}
