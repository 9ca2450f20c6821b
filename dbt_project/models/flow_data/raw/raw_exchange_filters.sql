-- One row per crypto pair and fetch. Append-only.
select * from {{ ref('stg_binance__exchange_info') }}
where {{ only_new_files('binance', 'exchange_info') }}
order by symbol, ingest_id
