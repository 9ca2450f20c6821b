-- One row per eligible security, session and horizon (5 and 20 sessions), known when the window's last bars are.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], 60) }}"
) }}
{%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], 60) if is_incremental() %}
with bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        calendars.session_number,
        bars.close_total_return as price,
        bars.known_at,
        delistings.known_at as delisted_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and bars.session_date = calendars.session_date
    left join {{ ref('delistings') }} as delistings on bars.security_id = delistings.security_id
    {% if is_incremental() %}
    where bars.session_date >= {{ from_date }}
    {% endif %}
),

paths as (
    select
        *,
        lead(session_date) over future as entry_date,
        lead(price) over future as entry_price,
        lead(session_number) over future - session_number = 1 as has_next_session,
        last_value(session_date) over whole as last_date,
        last_value(price) over whole as last_price,
        {%- for horizon in [5, 20] %}
        lead(session_date, {{ horizon + 1 }}) over future as exit_date_{{ horizon }},
        lead(price, {{ horizon + 1 }}) over future as exit_price_{{ horizon }},
        lead(known_at, {{ horizon + 1 }}) over future as exit_known_at_{{ horizon }},
        lead(session_number, {{ horizon + 1 }}) over future - session_number as sessions_to_exit_{{ horizon }},
        {%- endfor %}
        last_value(session_number) over whole - session_number as sessions_left
    from bars
    window
        future as (partition by security_id order by session_date),
        whole as (
            partition by security_id order by session_date
            rows between unbounded preceding and unbounded following
        )
),

labelled as (
    {%- for horizon in [5, 20] %}
    select
        security_id,
        symbol,
        session_date,
        session_number + {{ horizon + 1 }} as end_number,
        {{ horizon }} as horizon,
        entry_date,
        entry_price,
        coalesce(exit_date_{{ horizon }}, last_date) as exit_date,
        coalesce(exit_price_{{ horizon }}, last_price) as exit_price,
        coalesce(exit_known_at_{{ horizon }}, delisted_at) as known_at
    from paths
    where
        has_next_session
        and (
            sessions_to_exit_{{ horizon }} = {{ horizon + 1 }}
            or (sessions_to_exit_{{ horizon }} is null and delisted_at is not null and sessions_left <= {{ horizon }})
        )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- A delisted company's own return is known sooner, but not what its peers make until the horizon's end.
eligible as (
    select
        labelled.* exclude (known_at),
        labelled.exit_price / labelled.entry_price - 1 as ret,
        ends.session_date as end_date,
        greatest(
            labelled.known_at,
            ends.close_at + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer))
        ) as known_at
    from labelled
    inner join {{ ref('universe') }} as universe
        on labelled.security_id = universe.security_id and labelled.session_date = universe.session_date
    inner join {{ ref('calendars') }} as ends
        on ends.exchange = 'XNYS' and labelled.end_number = ends.session_number
    where universe.is_eligible and labelled.exit_date > labelled.entry_date
),

final as (
    select
        security_id,
        symbol,
        session_date,
        cast(horizon as integer) as horizon,
        entry_date,
        entry_date as t0,
        end_date as t1,
        ret,
        ret - cast(sum({{ fixed_point('ret', 9) }}) over peers as double) / count(*) over peers / 1e9 as ret_rel,
        known_at
    from eligible
    where known_at <= {{ as_of() }}
    window peers as (partition by session_date, horizon)
)

select * from final
order by session_date, horizon, security_id
