{% test each_file_read_once(model) %}
select
    fetches.ingest_id,
    count(rows_of_model.ingest_id) as rows_read,
    fetches.row_count as rows_landed
from {{ model }} as rows_of_model
inner join {{ ref('raw_fetches') }} as fetches on rows_of_model.ingest_id = fetches.ingest_id
group by fetches.ingest_id, fetches.row_count
having count(rows_of_model.ingest_id) <> fetches.row_count
{% endtest %}
