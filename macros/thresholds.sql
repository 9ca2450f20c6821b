{#- A number of the registry seeds/flow_data/qc_thresholds.csv, as a scalar subquery. -#}
{% macro threshold(name) -%}
    (select thresholds.value from {{ ref('qc_thresholds') }} as thresholds where thresholds.name = '{{ name }}')
{%- endmacro %}
