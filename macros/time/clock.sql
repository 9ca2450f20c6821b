{% macro as_of() -%}
    timestamptz '{{ as_of_text() }}'
{%- endmacro %}

{% macro as_of_text() -%}
    {{ var('as_of', none) or environment('TRADEML_CLOCK', '') or run_started_at.strftime('%Y-%m-%dT%H:%M:%SZ') }}
{%- endmacro %}
