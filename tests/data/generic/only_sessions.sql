{% test only_sessions(model, calendar) %}
select rows_of_model.session_date
from {{ model }} as rows_of_model
anti join {{ ref('calendars') }} as calendars
    on calendars.exchange = '{{ calendar }}' and rows_of_model.session_date = calendars.session_date
{% endtest %}
