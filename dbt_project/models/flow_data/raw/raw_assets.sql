-- One row per asset and fetch. Append-only.
select * from {{ ref('stg_alpaca__assets') }}
where {{ only_new_files('alpaca', 'assets') }}
order by symbol, asset_id, ingest_id
