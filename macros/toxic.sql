{#- Whether a bar's close cannot be true: it is more than max_abs_return above the close before, or as far below (a hundredth of a
    price is as wrong as its hundredfold). A bar that takes back the jump of the one before it is good: it was the other that was
    wrong. Needs the growth since one and two bars before; looks at no later bar. -#}
{% macro is_toxic(growth, growth_of_two, partition) -%}
    coalesce(
        {{ is_jump(growth) }}
        and not (
            coalesce(lag({{ is_jump(growth) }}) over (partition by {{ partition }} order by session_date), false)
            and not coalesce(lag({{ is_jump(growth) }}, 2) over (partition by {{ partition }} order by session_date), false)
            and not {{ is_jump(growth_of_two) }}
        ),
        false
    )
{%- endmacro %}


{% macro is_jump(growth) -%}
    (greatest({{ growth }}, 1 / {{ growth }}) - 1 > {{ threshold('max_abs_return') }})
{%- endmacro %}
