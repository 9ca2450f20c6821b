{% macro environment(name, default) -%}
    {{ env_var(name, default) if execute else default }}
{%- endmacro %}
