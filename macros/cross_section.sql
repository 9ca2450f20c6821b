{#- Cross-sectional standardisation in two grouped passes (a window per measure costs seven times as much). First the 1 % and 99 %
    quantiles of each session, then mean and deviation of the winsorised measure, rescaled between its quantiles and held in whole
    units of 1e-7 so that the sums are exact. A z-score does not notice the rescaling. -#}
{% macro winsorised_units(measure, low, high) -%}
    {#- least() and greatest() skip a null: without the condition a missing value would become the quantile. #}
    case
        when {{ measure }} is not null
            then cast(round(
                (greatest(least({{ measure }}, {{ high }}), {{ low }}) - {{ low }}) / nullif({{ high }} - {{ low }}, 0) * 1e7
            ) as bigint)
    end
{%- endmacro %}


{#- The z-score from winsorised units and their exact sums. Null for a session in which more than 30 % of the securities lack
    the measure; a missing value, or a measure without spread, is neutral: 0. -#}
{% macro zscore_of_units(units, present, everyone, total, squares) -%}
    case
        when 10 * {{ present }} < 7 * {{ everyone }} then null
        when {{ units }} is null or {{ present }} * {{ squares }} <= {{ total }} * {{ total }} then 0
        else
            cast({{ present }} * {{ units }} - {{ total }} as double)
            / sqrt(cast({{ present }} * {{ squares }} - {{ total }} * {{ total }} as double))
    end
{%- endmacro %}


{#- The eleven GICS sectors. -#}
{% macro gics_sectors() %}
    {% do return([
        'Communication Services', 'Consumer Discretionary', 'Consumer Staples', 'Energy', 'Financials', 'Health Care',
        'Industrials', 'Information Technology', 'Materials', 'Real Estate', 'Utilities',
    ]) %}
{% endmacro %}
