{% macro fixed_point(expression, digits) -%}
    {#- Sums of a year of these still fit; what does not, no market has. -#}
    cast(round(case when abs({{ expression }}) < 1e34 / 1e{{ digits }} then {{ expression }} * 1e{{ digits }} end) as hugeint)
{%- endmacro %}


{% macro from_fixed(expression, digits) -%}
    (cast({{ expression }} as double) / 1e{{ digits }})
{%- endmacro %}


{% macro exact_stddev(count, total, squares, digits) -%}
    (sqrt(cast({{ count }} * {{ squares }} - {{ total }} * {{ total }} as double)
    / ({{ count }} * ({{ count }} - 1))) / 1e{{ digits }})
{%- endmacro %}
