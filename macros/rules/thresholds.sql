{% macro threshold(name) -%}
    (select thresholds.value from {{ ref('qc_thresholds') }} as thresholds where thresholds.name = '{{ name }}')
{%- endmacro %}
