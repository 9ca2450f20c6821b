{% test opens_before_it_closes(model) %}
select * from {{ model }}
where open_at >= close_at
{% endtest %}
