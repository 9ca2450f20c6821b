{% macro landed(vendor, endpoint) %}
    {%- set relation = source(vendor, endpoint) -%}
    {%- set pattern = landed_pattern(vendor, endpoint) -%}
    {%- if execute and run_query("select 1 from glob('" ~ pattern ~ "') limit 1").rows | length -%}
        read_parquet('{{ pattern }}', union_by_name = true, hive_partitioning = false)
    {%- else -%}
        (
            select
            {%- for column in landed_columns(vendor, endpoint) %}
                cast(null as {{ column.data_type }}) as "{{ column.name }}"{{ ',' if not loop.last }}
            {%- endfor %}
            where false
        )
    {%- endif -%}
{% endmacro %}


{% macro landed_pattern(vendor, endpoint) -%}
    {{ environment('TRADEML_DATA', 'data') }}/raw/{{ vendor }}/{{ endpoint }}/*/*.parquet
{%- endmacro %}


{% macro landed_columns(vendor, endpoint) %}
    {% set columns = [] %}
    {% if execute %}
        {% for node in graph.sources.values() %}
            {% if node.source_name == vendor and node.name == endpoint %}
                {% do columns.extend(node.columns.values()) %}
            {% endif %}
        {% endfor %}
    {% endif %}
    {% do return(columns) %}
{% endmacro %}


{% macro envelope() %}
    extra,
    ingest_id,
    ingested_at,
    source_name,
    source_uri,
    vendor_ts,
    api_version,
    request_hash,
    payload_sha256
{%- endmacro %}


{% macro only_new_files(vendor, endpoint) %}
    {%- set standing = is_standing() -%}
    {%- if not is_incremental() -%}
        {{ standing }}
    {%- else -%}
        {%- set unread -%}
            select ingest_id
            from (
                select parse_filename(file, true) as ingest_id from glob('{{ landed_pattern(vendor, endpoint) }}')
                except
                select distinct ingest_id from {{ this }}
            )
            where {{ standing }}
            order by 1
        {%- endset -%}
        {%- set ids = run_query(unread).columns[0].values() if execute else [] -%}
        {%- if ids | length -%}
            ingest_id in ('{{ ids | join("', '") }}')
        {%- else -%}
            false
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{% macro is_standing() -%}
    ingest_id not in (select retracted.retracted_ingest_id from {{ ref('raw_retractions') }} as retracted)
{%- endmacro %}


{% macro delete_retracted() %}
    {%- if is_incremental() and model.name != 'raw_retractions' -%}
        {%- set retracted -%}
            from {{ this }} where not ({{ is_standing() }})
        {%- endset -%}
        {#- A deletion of nothing would be a new version of the lake. -#}
        {%- if run_query('select 1 ' ~ retracted ~ ' limit 1').rows | length -%}
            delete {{ retracted }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
