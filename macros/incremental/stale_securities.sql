{% macro stale_securities(relation) -%}
    {%- set since = last_snapshot_of(relation) -%}
    (
        select
            security_id,
            min(session_date) as from_date
        from (
            select security_id, session_date
            from {{ changes_since(ref('equities_bars_asof'), since, 'security_id, session_date') }}
            union all
            select security_id, ex_date as session_date
            from {{ differences_since(ref('corp_actions'), since, compared()['corp_actions'][1]) }}
        )
        group by security_id
    )
{%- endmacro %}


{% macro delete_stale_securities() %}
    {% if is_incremental() %}
        delete from {{ this }}
        using {{ stale_securities(this) }} as stale
        where {{ this }}.security_id = stale.security_id and {{ this }}.session_date >= stale.from_date
    {% endif %}
{% endmacro %}
