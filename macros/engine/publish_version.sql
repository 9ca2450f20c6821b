{% macro publish_version(results) %}
    {% if execute and flags.WHICH == 'build' %}
        {% set passed = [] %}
        {% set failed = [] %}
        {% for result in results %}
            {% if result.status in ('success', 'pass', 'warn') %}
                {% do passed.append(result.node.unique_id) %}
            {#- What has nothing to run, as an exposure, is a no-op. #}
            {% elif result.status != 'no-op' %}
                {% do failed.append(result.node.unique_id) %}
            {% endif %}
        {% endfor %}
        {% set missing = [] %}
        {% for node in graph.nodes.values() %}
            {% if 'flow_data' in node.fqn and node.unique_id not in passed %}
                {% do missing.append(node.unique_id) %}
            {% endif %}
        {% endfor %}
        {% if failed or missing %}
            {% do log('not published: ' ~ failed | length ~ ' failed, ' ~ missing | length ~ ' not built', info=true) %}
        {% else %}
            {% do compact_tables() %}
            {% do copy_catalog() %}
        {% endif %}
    {% endif %}
{% endmacro %}


{% macro copy_catalog() %}
    {% set snapshot_id = run_query("select max(snapshot_id) from ducklake_snapshots('lake')").rows[0][0] | int %}
    {% set version = 'v%06d' % snapshot_id %}
    {% set folder = environment('TRADEML_DATA', 'data') ~ '/lakehouse/published/' %}
    {% set catalog = version ~ '-' ~ invocation_id[:8] ~ '.duckdb' %}
    {% if run_query("select 1 from glob('" ~ folder ~ version ~ ".json')").rows | length %}
        {% do log('nothing changed: already published as ' ~ version, info=true) %}
    {% else %}
        {% do run_alone("attach '" ~ folder ~ catalog ~ "' as published_copy") %}
        {% do run_alone('copy from database __ducklake_metadata_lake to published_copy') %}
        {#- Staging views read the landed files as they are now, so they are not part of a version. #}
        {% do run_alone(
            "delete from published_copy.ducklake_view where schema_id in "
            ~ "(select schema_id from published_copy.ducklake_schema where schema_name = 'staging')"
        ) %}
        {% do run_alone('detach published_copy') %}
        {% do run_alone(
            "copy (select '" ~ catalog ~ "' as catalog, " ~ snapshot_id ~ " as snapshot_id, '" ~ as_of_text() | trim
            ~ "' as as_of) to '" ~ folder ~ version ~ ".json' (format json, use_tmp_file true)"
        ) %}
        {% do log('published ' ~ version, info=true) %}
    {% endif %}
{% endmacro %}


{% macro run_alone(sql) %}
    {% call statement(auto_begin=false) %}{{ sql }}{% endcall %}
{% endmacro %}
