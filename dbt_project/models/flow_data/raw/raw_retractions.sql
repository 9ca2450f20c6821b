-- One row per tombstone of a landed file that is in force at as_of. Append-only.
select * from {{ ref('stg_node__retraction') }}
where
    ingested_at <= {{ as_of() }}
{% if is_incremental() %}
    and ingest_id not in (select seen.ingest_id from {{ this }} as seen)
{% endif %}
order by retracted_ingest_id, ingest_id
