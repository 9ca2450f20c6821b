{#- What changed in the lake since a model was last written. Incremental models ask the lake itself (DuckLake's change feed)
    instead of remembering anything: after a failed build, a late correction or a rebuilt upstream table they find what they
    have missed. On another engine, these four macros are what has to be written again. -#}


{#- The snapshot that last wrote a table; -1 when it was never written. -#}
{% macro last_snapshot_of(relation) %}
    {% set query %}
        select coalesce(max(snapshots.snapshot_id), -1)
        from ducklake_snapshots('{{ relation.database }}') as snapshots
        inner join ducklake_table_info('{{ relation.database }}') as tables
            on
                list_contains(snapshots.changes['tables_inserted_into'], cast(tables.table_id as varchar))
                or list_contains(snapshots.changes['tables_deleted_from'], cast(tables.table_id as varchar))
        where tables.table_name = '{{ relation.identifier }}'
    {% endset %}
    {% do return(run_query(query).rows[0][0] | int if execute else -1) %}
{% endmacro %}


{#- The rows that were added to or removed from a table since a snapshot, as a from-clause. -#}
{% macro changes_since(relation, snapshot_id, columns) -%}
    {%- set newest = run_query("select max(snapshot_id) from ducklake_snapshots('" ~ relation.database ~ "')").rows[0][0]
        if execute else 0 -%}
    {%- set arguments = "'%s', '%s', '%s', %d, %d"
        % (relation.database, relation.schema, relation.identifier, snapshot_id + 1, newest) -%}
    (
        {%- for feed in ['insertions', 'deletions'] %}
        select {{ columns }} from ducklake_table_{{ feed }}({{ arguments }})
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}


{#- The first session that an incremental model has to write again, as a SQL date. It is the earliest change in its upstream
    tables since it was last written, and at the latest two weeks before its own newest session, because knowledge also
    matures by the passing of time (a bar landed before its publication lag was over). -#}
{% macro rebuild_from(upstream, lookback_days=0, relation=none) -%}
    {%- set relation = relation or this -%}
    {%- set since = last_snapshot_of(relation) -%}
    {%- set query -%}
        select least(
            (select max(session_date) - 14 from {{ relation }}),
            {%- for relation in upstream %}
            (select min(session_date) from {{ changes_since(relation, since, 'session_date') }}){{ ',' if not loop.last }}
            {%- endfor %}
        ) - {{ lookback_days }}
    {%- endset -%}
    {%- set first = run_query(query).rows[0][0] if execute else none -%}
    date '{{ first or '1900-01-01' }}'
{%- endmacro %}


{#- Removes from this model the sessions that it is about to write again (a pre-hook, in the same transaction). -#}
{% macro delete_from_session(upstream, lookback_days=0) %}
    {% if is_incremental() %}
        delete from {{ this }} where session_date >= {{ rebuild_from(upstream, lookback_days) }}
    {% endif %}
{% endmacro %}
