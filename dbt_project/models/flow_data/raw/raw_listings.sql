-- One row per ticker, day and fetch of a listing, of the vendors that feed no table of bars. Append-only.
select * from {{ ref('stg_massive__tickers') }}
where {{ only_new_files('massive', 'tickers') }}
union all by name
select * from {{ ref('stg_massive__delisted_tickers') }}
where {{ only_new_files('massive', 'delisted_tickers') }}
union all by name
select * from {{ ref('stg_alphavantage__listing_status_active') }}
where {{ only_new_files('alphavantage', 'listing_status_active') }}
union all by name
select * from {{ ref('stg_alphavantage__listing_status_delisted') }}
where {{ only_new_files('alphavantage', 'listing_status_delisted') }}
union all by name
select * from {{ ref('stg_sec_edgar__company_tickers') }}
where {{ only_new_files('sec_edgar', 'company_tickers') }}
order by vendor, symbol, list_date, ingest_id
