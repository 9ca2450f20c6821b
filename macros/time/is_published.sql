{% macro is_published(bar) -%}
    (
        {{ bar }}.session_date <= coalesce(
            (
                select max(sessions.session_date)
                from {{ ref('calendars') }} as sessions
                where
                    sessions.exchange = 'XNYS'
                    and sessions.close_at + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer)) <= {{ as_of() }}
            ),
            cast({{ as_of() }} as date) - 1
        )
        and not exists (
            select 1
            from {{ ref('late_bars') }} as late
            where
                late.asset_class = 'equity'
                and late.symbol = {{ bar }}.symbol
                and late.session_date = {{ bar }}.session_date
                and late.known_at > {{ as_of() }}
        )
    )
{%- endmacro %}
