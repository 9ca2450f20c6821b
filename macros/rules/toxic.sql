{% macro paths_and_judged(security) -%}
paths as (
    select
        *,
        lag(growth) over path as growth_before,
        growth * lag(growth) over path as growth_of_two
    from moves
    window path as (partition by {{ security }}, broken_rule is null order by session_date)
),

judged as (
    select
        * replace (
            case
                when {{ is_fall_taken_back() }} then greatest(known_at, lead(known_at) over path)
                else known_at
            end as known_at
        ),
        coalesce(broken_rule, case when {{ is_toxic() }} then 'TOXIC_RETURN' end) as reject_reason
    from paths
    window path as (partition by {{ security }}, broken_rule is null order by session_date)
)
{%- endmacro %}


{% macro is_toxic() -%}
    coalesce({{ is_rise('growth') }} and not coalesce({{ is_taken_back() }}, false), false) or {{ is_fall_taken_back() }}
{%- endmacro %}


{% macro is_fall_taken_back() -%}
    coalesce({{ is_fall('growth') }} and lead({{ is_taken_back() }}) over path, false)
{%- endmacro %}


{% macro is_taken_back() -%}
    (
        {{ is_rise('growth') }}
        and growth_before < 1 / (1 + {{ threshold('max_abs_return') }})
        and not {{ is_rise('growth_of_two') }}
        and not {{ is_fall('growth_of_two') }}
    )
{%- endmacro %}


{% macro is_rise(growth) -%}
    {{ growth }} - 1 > {{ threshold('max_abs_return') }}
{%- endmacro %}


{% macro is_fall(growth) -%}
    {{ growth }} < 1 / (1 + {{ threshold('max_abs_return') }})
{%- endmacro %}
