{% macro implausible_date(bar, market) -%}
    case
        when coalesce({{ bar }}.symbol, '') = '' then 'SYMBOL_MISSING'
        when {{ bar }}.session_date is null then 'DATE_MISSING'
        when year({{ bar }}.session_date) < {{ threshold('first_year_' ~ market) }} then 'DATE_TOO_EARLY'
        when {{ bar }}.session_date > cast({{ bar }}.ingested_at as date) then 'DATE_IN_FUTURE'
    end
{%- endmacro %}


{% macro broken_rule(bar, market) -%}
    {%- set prices = [bar ~ '.open', bar ~ '.high', bar ~ '.low', bar ~ '.close'] -%}
    {%- set lowest, highest = 'least(' ~ prices | join(', ') ~ ')', 'greatest(' ~ prices | join(', ') ~ ')' -%}
    case
        when {{ bar }}.is_conflicting then 'CONFLICTING_ROWS'
        when {{ lowest }} <= 0 then 'PRICE_NOT_POSITIVE'
        when {{ prices | join(' is null or ') }} is null then 'PRICE_MISSING'
        {#- Not a number is greater than every number, and so beyond the upper bounds. #}
        when
            {{ lowest }} < {{ threshold('min_price_' ~ market) }} or {{ highest }} > {{ threshold('max_price_' ~ market) }}
            then 'PRICE_IMPLAUSIBLE'
        when {{ bar }}.high < {{ highest }} then 'HIGH_BELOW_PRICES'
        when {{ bar }}.low > {{ lowest }} then 'LOW_ABOVE_PRICES'
        when {{ bar }}.volume is null then 'VOLUME_MISSING'
        when {{ bar }}.volume < 0 then 'VOLUME_NEGATIVE'
        when
            {{ bar }}.volume > {{ threshold('max_volume_' ~ market) }}
            or ({{ bar }}.volume > 0 and {{ bar }}.volume < {{ threshold('min_volume_' ~ market) }})
            then 'VOLUME_IMPLAUSIBLE'
    end
{%- endmacro %}


{% macro one_bar_per_answer(bars, measures) -%}
    {%- set answer = ['symbol', 'session_date', 'ingested_at', 'ingest_id'] -%}
    {%- set values = 'struct_pack(' ~ measures | join(', ') ~ ')' -%}
repeats as (
    select {{ answer | join(', ') }}
    from {{ bars }}
    group by all
    having count(*) > 1
),

answers as (
    select
        {{ bars }}.*,
        false as is_conflicting
    from {{ bars }}
    anti join repeats on {{ same_answer(bars, 'repeats', answer) }}
    union all by name
    select
        {{ bars }}.*,
        (min({{ values }}) over rows_of_answer <> max({{ values }}) over rows_of_answer) as is_conflicting
    from {{ bars }}
    semi join repeats on {{ same_answer(bars, 'repeats', answer) }}
    window
        rows_of_answer as (
            partition by {{ answer | join(', ') }} order by {{ values }}
            rows between unbounded preceding and unbounded following
        )
    qualify row_number() over rows_of_answer = 1
)
{%- endmacro %}


{% macro same_answer(left, right, columns) -%}
    {%- for column in columns -%}
        {{ left }}.{{ column }} is not distinct from {{ right }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
