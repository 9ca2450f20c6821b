{% macro lake_symbol(column) -%}
    regexp_replace({{ column }}, '^([A-Z]+)-([A-Z])$', '\1.\2')
{%- endmacro %}
