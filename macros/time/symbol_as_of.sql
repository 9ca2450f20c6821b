{% macro symbol_as_of(row, day, keys=['symbol'], asset_class=none) -%}
    {%- for key in keys %}
    {{ row }}.{{ key }} = symbols.{{ key }} and
    {%- endfor %}
    {%- if asset_class %}
    symbols.asset_class = '{{ asset_class }}' and
    {%- endif %}
    {{ row }}.{{ day }} >= symbols.valid_from
    and (symbols.valid_to is null or {{ row }}.{{ day }} < symbols.valid_to)
{%- endmacro %}
