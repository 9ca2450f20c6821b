-- One row per landed daily bar.
select
    symbol,
    cast(t at time zone 'America/New_York' as date) as session_date,
    t as event_at,
    o as open,
    h as high,
    l as low,
    c as close,
    vw as vwap,
    v as volume,
    n as trades,
    {{ envelope() }}
from {{ landed('alpaca', 'bars_1d') }}
