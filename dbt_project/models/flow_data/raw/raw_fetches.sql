-- One row per fetch that was not taken back, empty and failed ones too. Append-only.
{{ config(on_schema_change='append_new_columns') }}
select * from {{ ref('stg_landing__fetches') }}
where
    {{ is_standing() }}
{% if is_incremental() %}
    and ingest_id not in (select seen.ingest_id from {{ this }} as seen)
{% endif %}
order by ingest_id
