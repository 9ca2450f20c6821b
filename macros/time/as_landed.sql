{% macro is_landed(relation) -%}
    ingested_at <= greatest({{ as_of() }}, (select min(every.ingested_at) from {{ relation }} as every))
{%- endmacro %}


{% macro as_landed(relation, keys) -%}
    (
        select *
        from {{ relation }}
        where {{ is_landed(relation) }}
        qualify row_number() over (partition by {{ keys | join(', ') }} order by ingested_at desc, ingest_id desc) = 1
    )
{%- endmacro %}
