{#- Which symbols an incremental bar table has to write again, and from which day: those with newly landed bars or corporate
    actions, from the first day these touch; and everyone from two weeks before the newest session, because knowledge also
    matures by the passing of time. A late split therefore rebuilds its own symbol and no other. -#}
{% macro stale_symbols(relation) -%}
    {%- set since = last_snapshot_of(relation) -%}
    {#- A literal, because the hook's deletion and the insert after it must mean the same day. -#}
    {%- set newest = run_query('select max(session_date) - 14 from ' ~ relation).rows[0][0] if execute else none -%}
    (
        select
            changes.symbol,
            least(min(changes.session_date), date '{{ newest or '1900-01-01' }}') as from_date
        from (
            select symbol, session_date
            from {{ changes_since(ref('raw_equities_bars'), since, 'symbol, session_date') }}
            union all
            select unnest([symbol, old_symbol, new_symbol]) as symbol, day as session_date
            from {{ changes_since(
                ref('raw_corp_actions'), since,
                'symbol, old_symbol, new_symbol, coalesce(ex_date, effective_date, process_date) as day'
            ) }}
            union all
            select distinct symbol, cast(null as date) as session_date from {{ ref('raw_equities_bars') }}
        ) as changes
        where changes.symbol is not null
        group by changes.symbol
    )
{%- endmacro %}


{#- Removes what stale_symbols says will be written again (a pre-hook, in the same transaction as the insert). -#}
{% macro delete_stale_bars() %}
    {% if is_incremental() %}
        delete from {{ this }}
        using {{ stale_symbols(this) }} as stale
        where {{ this }}.symbol = stale.symbol and {{ this }}.session_date >= stale.from_date
    {% endif %}
{% endmacro %}
