{% test no_lookahead(model) %}
select * from {{ model }}
where known_at > {{ as_of() }} or known_at is null
{% endtest %}
