-- One row per symbol and fetch. Append-only.
select * from {{ ref('stg_file__sectors') }}
where {{ only_new_files('file', 'sectors') }}
order by symbol, ingest_id
