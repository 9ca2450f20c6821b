{% macro fixed_point(expression, digits) -%}
    cast(round({{ expression }} * 1e{{ digits }}) as hugeint)
{%- endmacro %}


{% macro from_fixed(expression, digits) -%}
    (cast({{ expression }} as double) / 1e{{ digits }})
{%- endmacro %}


{% macro exact_stddev(count, total, squares, digits) -%}
    (sqrt(cast({{ count }} * {{ squares }} - {{ total }} * {{ total }} as double)
    / ({{ count }} * ({{ count }} - 1))) / 1e{{ digits }})
{%- endmacro %}
