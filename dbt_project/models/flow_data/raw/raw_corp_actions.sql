-- One row per corporate action and fetch. Append-only.
select * from {{ ref('stg_alpaca__corporate_actions') }}
where {{ only_new_files('alpaca', 'corporate_actions') }}
order by symbol, ex_date, action_type, action_id, ingest_id
