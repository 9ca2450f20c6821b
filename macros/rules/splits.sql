{% macro is_denied(price_ratio, ratio) -%}
    coalesce(
        {{ log_distance(ratio) }} > ln({{ threshold('split_denied_factor') }})
        and {{ log_distance('(' ~ price_ratio ~ ') / (' ~ ratio ~ ')') }} > ln({{ threshold('split_denied_factor') }}),
        true
    )
{%- endmacro %}


{% macro log_distance(ratio) -%}
    abs(ln(nullif(greatest({{ ratio }}, 0), 0)))
{%- endmacro %}


{% macro is_suspected_split(price_ratio) -%}
    (
        1 / ({{ price_ratio }}) < {{ threshold('suspect_split_low') }}
        and abs(({{ price_ratio }}) / round(({{ price_ratio }}) * 2) * 2 - 1) < 0.06
    )
{%- endmacro %}
