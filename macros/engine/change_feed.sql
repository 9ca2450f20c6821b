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


{% macro compared() %}
    {% do return({
        'corp_actions': ('ex_date', 'security_id, symbol, event_type, ex_date, ratio, cash_usd, reject_reason'),
        'delistings': (
            'last_session_date',
            'security_id, last_session_date, delist_date, terminal_reason, terminal_value_usd, terminal_date, terminal_known_at, known_at'
        ),
        'crypto_ohlcv': (
            'session_date', 'symbol, session_date, open, high, low, close, quote_volume_usd, ret, reject_reason, known_at'
        ),
        'int_stress_survival': ('end_date', 'security_id, event, end_date, events, survived'),
        'raw_earnings_dates': ('cast(announced_at as date)', 'symbol, earnings_date, announced_at'),
    }) %}
{% endmacro %}


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
    {%- elif relation.identifier == 'share_classes' -%}
        select min(bars.session_date)
        from {{ differences_since(relation, since, 'security_id, share_class, is_let_in') }} as changed
        inner join {{ ref('equities_ohlcv_adj') }} as bars on changed.security_id = bars.security_id
    {%- else -%}
        select min(session_date) from {{ changes_since(relation, since, 'session_date') }}
    {%- endif -%}
{%- endmacro %}


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


{% macro delete_from_session(upstream, lookback_days=0) %}
    {% if is_incremental() %}
        delete from {{ this }} where session_date >= {{ rebuild_from(upstream, lookback_days) }}
    {% endif %}
{% endmacro %}
