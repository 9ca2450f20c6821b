{% test label_starts_after_decision(model) %}
select * from {{ model }}
where t0 <= session_date or t1 < t0
{% endtest %}
