{% macro days_until_resolved() -%}
    {#- Twenty-one sessions, with every holiday that can fall among them, and as many days as a halt may last. #}
    (45 + cast({{ threshold('identity_gap_days') }} as integer))
{%- endmacro %}
