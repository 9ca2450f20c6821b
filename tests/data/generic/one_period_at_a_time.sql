{% test one_period_at_a_time(model, columns) %}
select
    *,
    lead(dbt_valid_from) over (partition by {{ columns | join(', ') }} order by dbt_valid_from) as next_valid_from
from {{ model }}
qualify
    greatest(dbt_valid_from, dbt_valid_to) > {{ as_of() }}
    or coalesce(dbt_valid_to, 'infinity') <= dbt_valid_from
    or coalesce(dbt_valid_to, 'infinity') > next_valid_from
{% endtest %}
