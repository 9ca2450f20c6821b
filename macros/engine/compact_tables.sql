{% macro compact_tables() %}
    {% set query %}
        select schemas.schema_name, tables.table_name
        from __ducklake_metadata_lake.ducklake_data_file as files
        inner join __ducklake_metadata_lake.ducklake_table as tables
            on files.table_id = tables.table_id and tables.end_snapshot is null
        inner join __ducklake_metadata_lake.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
        where files.end_snapshot is null
        group by all
        having count(*) >= {{ var('compact_from_files') }}
        order by all
    {% endset %}
    {% for row in run_query(query).rows %}
        {% set table = "'lake', '" ~ row[1] ~ "', schema => '" ~ row[0] ~ "'" %}
        {# Files of which rows were deleted are not joined: they are written without those first. #}
        {% do run_alone("call ducklake_rewrite_data_files(" ~ table ~ ", delete_threshold => 0)") %}
        {% do run_alone("call ducklake_merge_adjacent_files(" ~ table ~ ")") %}
        {% do log('compacted ' ~ row[0] ~ '.' ~ row[1], info=true) %}
    {% endfor %}
{% endmacro %}
