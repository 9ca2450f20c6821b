-- One row per ticker that is listed no more, day and fetch.
select
    'alphavantage' as vendor,
    {{ lake_symbol('symbol') }} as symbol,
    name,
    exchange,
    assettype as listing_type,
    status = 'Active' as is_active,
    asked_date as list_date,
    ipodate as listed_date,
    delistingdate as delisted_date,
    cast(null as varchar) as cik,
    cast(null as varchar) as composite_figi,
    cast(null as varchar) as share_class_figi,
    {{ envelope() }}
from {{ landed('alphavantage', 'listing_status_delisted') }}
