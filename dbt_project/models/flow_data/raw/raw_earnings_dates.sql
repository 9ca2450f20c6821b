-- One row per announced earnings date and fetch. Append-only.
select * from {{ ref('stg_file__earnings_dates') }}
where {{ only_new_files('file', 'earnings_dates') }}
order by symbol, earnings_date, ingest_id
