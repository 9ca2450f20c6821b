{#- The CTEs `paths` and `judged` of a bar table, from its CTE `moves` with `growth` and `broken_rule`: why a bar is rejected, and when that
    is known. Follow them with a comma.
    security: the column whose bars make one path. -#}
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


{#- Why a close cannot be true, from the growth since one and two bars before. Up: more than max_abs_return above the bar before, unless
    that only takes back a fall as great. Down: as far below, but only once the next bar takes it back; until then it may be a crash or
    a spin-off, and is flagged. The macros need the window `path` of the bars that break no rule. -#}
{% macro is_toxic() -%}
    coalesce({{ is_rise('growth') }} and not coalesce({{ is_taken_back() }}, false), false) or {{ is_fall_taken_back() }}
{%- endmacro %}


{#- Whether the next bar says that this one was wrong: known only when the next one is. -#}
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
