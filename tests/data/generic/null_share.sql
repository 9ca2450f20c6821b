{% test null_share(model, column, at_most) %}
select count(*) filter (where {{ column }} is null) as nulls, count(*) as everything
from {{ model }}
having count(*) filter (where {{ column }} is null) > {{ at_most }} * count(*)
{% endtest %}
