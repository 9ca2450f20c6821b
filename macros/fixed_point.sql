{#- A measure as a whole number of 10^-digits units. Sums of integers are exact, so a rolling sum has the same bits whatever the
    window's alignment: a build with less history, an increment and a full build agree to the last bit (ADR 2). Sums of
    doubles do not. -#}
{% macro fixed_point(expression, digits) -%}
    cast(round({{ expression }} * 1e{{ digits }}) as hugeint)
{%- endmacro %}


{#- A fixed-point sum back as a double. -#}
{% macro from_fixed(expression, digits) -%}
    (cast({{ expression }} as double) / 1e{{ digits }})
{%- endmacro %}


{#- The sample standard deviation from exact integer sums: count, sum and sum of squares, all of one number of digits. -#}
{% macro exact_stddev(count, total, squares, digits) -%}
    (sqrt(cast({{ count }} * {{ squares }} - {{ total }} * {{ total }} as double)
    / ({{ count }} * ({{ count }} - 1))) / 1e{{ digits }})
{%- endmacro %}
