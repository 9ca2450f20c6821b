-- One row per landed daily kline.
select
    symbol,
    cast(make_timestamp(open_time * 1000) as date) as session_date,
    make_timestamp(open_time * 1000) at time zone 'UTC' as event_at,
    cast(open as double) as open,
    cast(high as double) as high,
    cast(low as double) as low,
    cast(close as double) as close,
    cast(quote_volume as double) / nullif(cast(volume as double), 0) as vwap,
    cast(volume as double) as volume,
    cast(quote_volume as double) as quote_volume_usd,
    trades,
    {{ envelope() }}
from {{ landed('binance', 'klines_1d') }}
