-- One row per eligible security, session and horizon (5 and 20 sessions): the total return from the close of the next session, when
-- a decision made on the session's features can first be traded, over the horizon. A company that is delisted on the way is held to
-- its last bar. t0 and t1 are the first and last session the label looks at; it is known when t1's bar is.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe')], 60) }}"
) }}
{%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('universe')], 60) if is_incremental() %}
with bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        bars.close_total_return as price,
        bars.known_at,
        case when delistings.security_id is not null then delistings.known_at end as delisted_at
    from {{ ref('equities_ohlcv_adj') }} as bars
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
        last_value(session_date) over whole as last_date,
        last_value(price) over whole as last_price
        {%- for horizon in [5, 20] %},
        lead(session_date, {{ horizon + 1 }}) over future as exit_date_{{ horizon }},
        lead(price, {{ horizon + 1 }}) over future as exit_price_{{ horizon }},
        lead(known_at, {{ horizon + 1 }}) over future as exit_known_at_{{ horizon }}
        {%- endfor %}
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
        {{ horizon }} as horizon,
        entry_date,
        entry_price,
        coalesce(exit_date_{{ horizon }}, case when delisted_at is not null then last_date end) as exit_date,
        coalesce(exit_price_{{ horizon }}, case when delisted_at is not null then last_price end) as exit_price,
        coalesce(exit_known_at_{{ horizon }}, delisted_at) as known_at
    from paths
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

eligible as (
    select
        labelled.*,
        labelled.exit_price / labelled.entry_price - 1 as ret
    from labelled
    inner join {{ ref('universe') }} as universe
        on labelled.security_id = universe.security_id and labelled.session_date = universe.session_date
    where
        universe.is_eligible
        and labelled.exit_date > labelled.entry_date
        and labelled.exit_date <= labelled.session_date + 50
),

final as (
    select
        security_id,
        symbol,
        session_date,
        cast(horizon as integer) as horizon,
        entry_date,
        entry_date as t0,
        exit_date as t1,
        ret,
        ret - cast(sum({{ fixed_point('ret', 9) }}) over peers as double) / count(*) over peers / 1e9 as ret_rel,
        known_at
    from eligible
    window peers as (partition by session_date, horizon)
)

select * from final
order by session_date, horizon, security_id
