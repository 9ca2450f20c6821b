{#- A label's window begins after the session whose features it is for, and does not end before it begins. -#}
{% test label_starts_after_decision(model) %}
select * from {{ model }}
where t0 <= session_date or t1 < t0
{% endtest %}
