{% test prices_are_consistent(model) %}
select * from {{ model }}
where low <= 0 or high < greatest(open, close) or low > least(open, close) or volume < 0
{% endtest %}
