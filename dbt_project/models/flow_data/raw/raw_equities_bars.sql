-- One row per daily equity bar and fetch. Append-only.
select * from {{ ref('stg_alpaca__bars_1d') }}
where {{ only_new_files('alpaca', 'bars_1d') }}
order by symbol, session_date, ingest_id
