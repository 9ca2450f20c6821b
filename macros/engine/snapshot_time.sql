{% macro duckdb__snapshot_get_time() -%}
    {{ as_of() }}
{%- endmacro %}


{% macro rewind_history() %}
    {%- if execute and adapter.get_relation(this.database, this.schema, this.identifier) %}
        {%- set later %}
            select count(*) from {{ this }} where dbt_valid_from >= {{ as_of() }} or dbt_valid_to >= {{ as_of() }}
        {%- endset %}
        {%- if run_query(later).rows[0][0] %}
            delete from {{ this }} where dbt_valid_from >= {{ as_of() }};
            update {{ this }} set dbt_valid_to = null where dbt_valid_to >= {{ as_of() }}
        {%- endif %}
    {%- endif %}
{% endmacro %}
