{% macro is_landed(relation) -%}
    ingested_at <= greatest({{ as_of() }}, (select min(every.ingested_at) from {{ relation }} as every))
{%- endmacro %}


{% macro as_landed(relation, keys, optional_keys=[]) -%}
    {%- set key = (keys + optional_keys) | join(', ') -%}
    (
        select landed.*
        from {{ relation }} as landed
        {#- What one file says twice and differently it does not say. #}
        anti join (
            select {{ key }}, ingest_id
            from (
                select columns(field -> field not in ('source_uri', 'vendor_ts', 'request_hash', 'payload_sha256'))
                from {{ relation }} as repeats
                qualify count(*) over (partition by {{ key }}, ingest_id) > 1
            ) as said
            group by {{ key }}, ingest_id
            having min(said) <> max(said)
        ) as contradicted
            on
                landed.ingest_id = contradicted.ingest_id
                {%- for name in keys + optional_keys %}
                and landed.{{ name }} is not distinct from contradicted.{{ name }}
                {%- endfor %}
        where {{ is_landed(relation) }} and {{ keys | join(' is not null and ') }} is not null
        qualify row_number() over (partition by {{ key }} order by ingested_at desc, ingest_id desc) = 1
    )
{%- endmacro %}
