-- One row per ticker, day and fetch of a listing.
select
    'massive' as vendor,
    ticker as symbol,
    name,
    primary_exchange as exchange,
    type as listing_type,
    active as is_active,
    date as list_date,
    cast(null as date) as listed_date,
    cast(delisted_utc at time zone 'America/New_York' as date) as delisted_date,
    cik,
    composite_figi,
    share_class_figi,
    {{ envelope() }}
from {{ landed('massive', 'tickers') }}
