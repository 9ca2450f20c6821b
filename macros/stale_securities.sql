{#- Which securities a table made from equities_bars_asof has to write again, and from which session: whatever was rewritten
    there since this table was last written. -#}
{% macro stale_securities(relation) -%}
    (
        select
            security_id,
            min(session_date) as from_date
        from {{ changes_since(ref('equities_bars_asof'), last_snapshot_of(relation), 'security_id, session_date') }}
        group by security_id
    )
{%- endmacro %}


{#- Removes what stale_securities says will be written again (a pre-hook, in the same transaction as the insert). -#}
{% macro delete_stale_securities() %}
    {% if is_incremental() %}
        delete from {{ this }}
        using {{ stale_securities(this) }} as stale
        where {{ this }}.security_id = stale.security_id and {{ this }}.session_date >= stale.from_date
    {% endif %}
{% endmacro %}
