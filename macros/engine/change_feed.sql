{#- What changed in the lake since a model was last written. Incremental models ask the lake itself (DuckLake's change feed)
    instead of remembering anything: after a failed build, a late correction or a rebuilt upstream table they find what they
    have missed. On another engine, these macros are what has to be written again. -#}


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


{#- Tables that are built whole every night, or whose rows are landed again and again: what matters in them, and the session from
    which a difference matters. Their change feed names every row; their contents are compared instead. -#}
{% macro compared() %}
    {% do return({
        'corp_actions': ('ex_date', 'security_id, symbol, event_type, ex_date, ratio, cash_usd, reject_reason'),
        'delistings': ('last_session_date', 'security_id, last_session_date, delist_date, known_at'),
        'crypto_ohlcv': (
            'session_date', 'symbol, session_date, open, high, low, close, quote_volume_usd, ret, reject_reason'
        ),
        'stress_survival': ('end_date', 'security_id, event, end_date, events, survived'),
        'raw_earnings_dates': ('cast(announced_at as date)', 'symbol, earnings_date, announced_at'),
    }) %}
{% endmacro %}


{#- The rows that a table has now and had not at a snapshot, or had then and has no longer, as a from-clause. Every row where the
    table did not exist yet. -#}
{% macro differences_since(relation, snapshot_id, columns) -%}
    {%- set existed %}
        select 1
        from __ducklake_metadata_{{ relation.database }}.ducklake_table as tables
        inner join __ducklake_metadata_{{ relation.database }}.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id
        where
            schemas.schema_name = '{{ relation.schema }}' and tables.table_name = '{{ relation.identifier }}'
            and tables.begin_snapshot <= {{ snapshot_id }}
            and (tables.end_snapshot is null or tables.end_snapshot > {{ snapshot_id }})
    {%- endset %}
    {%- set now = 'select ' ~ columns ~ ' from ' ~ relation -%}
    {%- if execute and run_query(existed).rows | length -%}
        {%- set before = now ~ ' at (version => ' ~ snapshot_id ~ ')' -%}
        (({{ now }} except {{ before }}) union all ({{ before }} except {{ now }}))
    {%- else -%}
        ({{ now }})
    {%- endif -%}
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
            ({{ first_change(relation, since) }}){{ ',' if not loop.last }}
            {%- endfor %}
        ) - {{ lookback_days }}
    {%- endset -%}
    {%- set first = run_query(query).rows[0][0] if execute else none -%}
    date '{{ first or '1900-01-01' }}'
{%- endmacro %}


{#- The earliest session that changed in a table since a snapshot, as a query. -#}
{% macro first_change(relation, since) -%}
    {%- if relation.identifier in compared() -%}
        {%- set session, columns = compared()[relation.identifier] -%}
        select min({{ session }}) from {{ differences_since(relation, since, columns) }}
    {%- elif relation.identifier == 'symbols' -%}
        {#- From its first bar on: a new listing is not a reason to write its peers' past again. -#}
        select min(bars.session_date)
        from {{ differences_since(relation, since, 'security_id, symbol, asset_type, sector') }} as changed
        inner join {{ ref('equities_ohlcv_adj') }} as bars
            on changed.security_id = bars.security_id and changed.symbol = bars.symbol
    {%- else -%}
        select min(session_date) from {{ changes_since(relation, since, 'session_date') }}
    {%- endif -%}
{%- endmacro %}


{#- The first session needed to compute windows of so many rows from a session on, as a SQL date. Counted in each security's own
    rows: after a halt they reach further back than any number of days. -#}
{% macro history_from(relations, from_date, rows) -%}
    {%- set query -%}
        select min(first_date) from (
            {%- for relation in relations %}
            select max(session_date, {{ rows }}) filter (where session_date < {{ from_date }})[-1] as first_date
            from {{ relation }}
            group by security_id
            having max(session_date) >= {{ from_date }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        )
    {%- endset -%}
    {%- set first = run_query(query).rows[0][0] if execute else none -%}
    {%- if first -%} date '{{ first }}' {%- else -%} {{ from_date }} {%- endif -%}
{%- endmacro %}


{#- Removes from this model the sessions that it is about to write again (a pre-hook, in the same transaction). -#}
{% macro delete_from_session(upstream, lookback_days=0) %}
    {% if is_incremental() %}
        delete from {{ this }} where session_date >= {{ rebuild_from(upstream, lookback_days) }}
    {% endif %}
{% endmacro %}
