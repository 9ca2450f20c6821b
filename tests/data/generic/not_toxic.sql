{% test not_toxic(model) %}
select * from {{ model }}
where ret < -1 or ret > {{ threshold('max_abs_return') }}
{% endtest %}
