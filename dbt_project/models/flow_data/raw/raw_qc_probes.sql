-- One row per probe of a symbol's session. Append-only.
select * from {{ ref('stg_node__qc_probe') }}
where {{ only_new_files('node', 'qc_probe') }}
order by symbol, session_date, ingest_id
