-- One row per landed file. Append-only.
select * from {{ ref('stg_landing__fetches') }}
{% if is_incremental() %}
where ingest_id not in (select seen.ingest_id from {{ this }} as seen)
{% endif %}
order by ingest_id
