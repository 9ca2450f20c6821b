{% macro cross_section(rows, columns, measures) -%}
bounds as (
    select
        session_date,
        {%- for measure in measures %}
        quantile_disc({{ measure }}, 0.01) as low_{{ measure }},
        quantile_disc({{ measure }}, 0.99) as high_{{ measure }},
        count({{ measure }}) as present_{{ measure }},
        {%- endfor %}
        count(*) as everyone
    from {{ rows }}
    group by session_date
),

winsorised as (
    select
        {%- for column in columns %}
        {{ rows }}.{{ column }},
        {%- endfor %}
        {%- for measure in measures %}
        {{ winsorised_units(rows ~ '.' ~ measure, 'bounds.low_' ~ measure, 'bounds.high_' ~ measure) }} as {{ measure }},
        {%- endfor %}
        {{ rows }}.session_date
    from {{ rows }}
    inner join bounds on {{ rows }}.session_date = bounds.session_date
),

sums as (
    select
        {%- for measure in measures %}
        sum({{ measure }}) as total_{{ measure }},
        sum(cast({{ measure }} as hugeint) * {{ measure }}) as squares_{{ measure }},
        {%- endfor %}
        session_date
    from winsorised
    group by session_date
),

standardised as (
    select
        {%- for column in columns %}
        winsorised.{{ column }},
        {%- endfor %}
        {%- for measure in measures %}
        {{ zscore_of_units(
            'winsorised.' ~ measure, 'bounds.present_' ~ measure, 'bounds.everyone',
            'sums.total_' ~ measure, 'sums.squares_' ~ measure
        ) }} as zscore_{{ measure }},
        {%- endfor %}
        winsorised.session_date
    from winsorised
    inner join bounds on winsorised.session_date = bounds.session_date
    inner join sums on winsorised.session_date = sums.session_date
)
{%- endmacro %}


{% macro winsorised_units(measure, low, high) -%}
    {#- least() and greatest() skip a null: without the condition a missing value would become the quantile. #}
    case
        when {{ measure }} is not null
            then cast(round(
                (greatest(least({{ measure }}, {{ high }}), {{ low }}) - {{ low }}) / nullif({{ high }} - {{ low }}, 0) * 1e7
            ) as bigint)
    end
{%- endmacro %}


{% macro zscore_of_units(units, present, everyone, total, squares) -%}
    case
        when 10 * {{ present }} < 7 * {{ everyone }} then null
        when {{ units }} is null or {{ present }} * {{ squares }} <= {{ total }} * {{ total }} then 0
        else
            cast({{ present }} * {{ units }} - {{ total }} as double)
            / sqrt(cast({{ present }} * {{ squares }} - {{ total }} * {{ total }} as double))
    end
{%- endmacro %}


{% macro gics_sectors() %}
    {% do return([
        'Communication Services', 'Consumer Discretionary', 'Consumer Staples', 'Energy', 'Financials', 'Health Care',
        'Industrials', 'Information Technology', 'Materials', 'Real Estate', 'Utilities',
    ]) %}
{% endmacro %}
