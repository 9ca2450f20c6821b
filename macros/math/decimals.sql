{% macro decimals(number) -%}
    cast(length(split_part(cast({{ number }} as varchar), '.', 2)) as integer)
{%- endmacro %}
