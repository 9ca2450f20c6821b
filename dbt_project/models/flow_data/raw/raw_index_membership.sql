-- One row per membership spell and fetch. Append-only.
select * from {{ ref('stg_file__index_membership') }}
where {{ only_new_files('file', 'index_membership') }}
order by index_name, symbol, start_date, ingest_id
