-- One row per landed daily kline.
select
    symbol,
    cast({{ from_milliseconds('open_time') }} as date) as session_date,
    {{ from_milliseconds('open_time') }} at time zone 'UTC' as event_at,
    try_cast(open as double) as open,
    try_cast(high as double) as high,
    try_cast(low as double) as low,
    try_cast(close as double) as close,
    try_cast(quote_volume as double) / nullif(try_cast(volume as double), 0) as vwap,
    try_cast(volume as double) as volume,
    try_cast(quote_volume as double) as quote_volume_usd,
    trades,
    {{ envelope() }}
from {{ landed('binance', 'klines_1d') }}
