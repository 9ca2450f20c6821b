-- One row per pair and fetch.
select
    symbol,
    status,
    base_asset,
    quote_asset,
    cast(tick_size as double) as tick_size,
    cast(step_size as double) as lot_size,
    cast(min_notional as double) as min_notional_usd,
    {{ envelope() }}
from {{ landed('binance', 'exchange_info') }}
