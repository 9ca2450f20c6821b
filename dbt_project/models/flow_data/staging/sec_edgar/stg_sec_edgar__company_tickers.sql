-- One row per company, ticker and fetch of the present listings.
select
    'sec_edgar' as vendor,
    {{ lake_symbol('ticker') }} as symbol,
    name,
    exchange,
    cast(null as varchar) as listing_type,
    true as is_active,
    cast(ingested_at as date) as list_date,
    cast(null as date) as listed_date,
    cast(null as date) as delisted_date,
    cik,
    cast(null as varchar) as composite_figi,
    cast(null as varchar) as share_class_figi,
    {{ envelope() }}
from {{ landed('sec_edgar', 'company_tickers') }}
