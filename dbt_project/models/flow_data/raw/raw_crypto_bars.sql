-- One row per daily crypto bar and fetch. Append-only.
select * from {{ ref('stg_binance__klines_1d') }}
where {{ only_new_files('binance', 'klines_1d') }}
order by symbol, session_date, ingest_id
