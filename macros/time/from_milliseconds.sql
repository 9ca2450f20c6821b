{% macro from_milliseconds(number) -%}
    case when {{ number }} between -62135596800000 and 253402300799999 then make_timestamp({{ number }} * 1000) end
{%- endmacro %}
