-- One row per landed file that was not taken back. Append-only.
select * from {{ ref('stg_landing__fetches') }}
where
    {{ is_standing() }}
{% if is_incremental() %}
    and ingest_id not in (select seen.ingest_id from {{ this }} as seen)
{% endif %}
order by ingest_id
