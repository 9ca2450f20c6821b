{% macro stale_symbols(relation) -%}
    {%- set since = last_snapshot_of(relation) -%}
    {#- A literal, because the hook's deletion and the insert after it must mean the same day. -#}
    {%- set newest %}
        select least(
            (select max(session_date) - 14 from {{ relation }}),
            (
                select min(session_date)
                from {{ differences_since(ref('calendars'), since, 'exchange, session_date, open_at, close_at') }}
                where exchange = 'XNYS'
            ),
            (select min(date '1900-01-01') from {{ differences_since(ref('qc_thresholds'), since, 'name, value') }})
        )
    {% endset -%}
    {%- set everyone_from = run_query(newest).rows[0][0] if execute else none -%}
    (
        select
            coalesce(kin.ticker, changes.symbol) as symbol,
            least(min(changes.session_date), date '{{ everyone_from or '1900-01-01' }}') as from_date
        from (
            select symbol, session_date - 10 as session_date
            from {{ changes_since(ref('raw_equities_bars'), since, 'symbol, session_date') }}
            union all
            select symbol, ex_date as session_date
            from {{ differences_since(ref('corp_actions'), since, compared()['corp_actions'][1]) }}
            where event_type in ('split', 'stock_dividend')
            union all
            select unnest([old_symbol, new_symbol]) as symbol, day as session_date
            from {{ differences_since(
                ref('raw_corp_actions'), since,
                'action_type, old_symbol, new_symbol, coalesce(effective_date, ex_date, process_date) as day'
            ) }}
            where action_type = 'name_changes'
            union all
            select symbol, valid_from as session_date
            from {{ differences_since(ref('symbols'), since, 'symbol, security_id, asset_class, valid_from, valid_to') }}
            where asset_class = 'equity'
            union all
            select symbol, session_date
            from {{ differences_since(ref('late_bars'), since, 'asset_class, symbol, session_date, known_at') }}
            where asset_class = 'equity'
            union all
            select distinct symbol, cast(null as date) as session_date from {{ ref('raw_equities_bars') }}
        ) as changes
        {#- What one ticker of a company says changes the path of its others. #}
        left join (
            select distinct spells.symbol, others.symbol as ticker
            from {{ ref('symbols') }} as spells
            inner join {{ ref('symbols') }} as others on spells.security_id = others.security_id
            where spells.asset_class = 'equity' and others.asset_class = 'equity'
        ) as kin on changes.symbol = kin.symbol
        where changes.symbol is not null
        group by coalesce(kin.ticker, changes.symbol)
    )
{%- endmacro %}


{% macro delete_stale_bars() %}
    {% if is_incremental() %}
        delete from {{ this }}
        using {{ stale_symbols(this) }} as stale
        where {{ this }}.symbol = stale.symbol and {{ this }}.session_date >= stale.from_date
    {% endif %}
{% endmacro %}
