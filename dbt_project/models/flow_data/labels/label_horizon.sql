-- One row per eligible security, session and horizon (5 and 20 sessions), known when the position's end is.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], days_until_resolved()) }}"
) }}
{%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('universe'), ref('delistings')], days_until_resolved())
    if is_incremental() %}
with interruptions as (
    select * from {{ ref('int_interruptions') }}
),

bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        calendars.session_number,
        bars.close_total_return * coalesce(interruptions.level, 1) as price,
        coalesce(interruptions.faults, 0) as faults,
        bars.known_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and bars.session_date = calendars.session_date
    asof left join interruptions
        on bars.security_id = interruptions.security_id and bars.session_date >= interruptions.next_date
    {% if is_incremental() %}
    where bars.session_date >= {{ from_date }}
    {% endif %}
),

decisions as (
    select
        bars.*,
        horizons.horizon,
        bars.session_number + 1 as entry_number,
        bars.session_number + 1 + horizons.horizon as end_number
    from bars
    inner join {{ ref('universe') }} as universe
        on bars.security_id = universe.security_id and bars.session_date = universe.session_date
    cross join unnest([5, 20]) as horizons (horizon)
    where universe.is_eligible
),

-- Where the end's session has no bar the position is held: what it then gets, the pause says.
held as (
    select
        decisions.security_id,
        decisions.symbol,
        decisions.session_date,
        decisions.horizon,
        decisions.entry_number,
        decisions.end_number,
        entries.price as entry_price,
        entries.faults as entry_faults,
        entries.known_at as entry_known_at,
        exits.price as end_price,
        exits.faults as end_faults,
        exits.known_at as end_known_at
    from decisions
    left join bars as entries
        on decisions.security_id = entries.security_id and decisions.entry_number = entries.session_number
    left join bars as exits
        on decisions.security_id = exits.security_id and decisions.end_number = exits.session_number
),

ended as (
    select
        *,
        case when entry_price is null then 'not_entered' else 'horizon' end as exit_reason,
        case when entry_price is null then 0 else end_price / entry_price - 1 end as ret,
        cast(null as date) as late_date,
        case when entry_price is not null then end_known_at end as exit_known_at,
        entry_price is null or entry_faults = end_faults as is_told_right
    from held
    where entry_price is null or end_price is not null
    union all
    select
        held.*,
        interruptions.exit_reason,
        interruptions.exit_price / held.entry_price - 1 as ret,
        interruptions.exit_date as late_date,
        interruptions.known_at as exit_known_at,
        held.entry_faults = interruptions.faults_before as is_told_right
    from held
    asof inner join interruptions
        on held.security_id = interruptions.security_id and held.end_number > interruptions.last_number
    where held.entry_price is not null and held.end_price is null
),

-- A removed company's own return is known sooner, but not what its peers make until the horizon's end.
dated as (
    select
        ended.*,
        starts.session_date as entry_date,
        greatest(ends.session_date, ended.late_date) as end_date,
        ends.close_at + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer)) as horizon_known_at
    from ended
    inner join {{ ref('calendars') }} as starts
        on starts.exchange = 'XNYS' and ended.entry_number = starts.session_number
    inner join {{ ref('calendars') }} as ends
        on ends.exchange = 'XNYS' and ended.end_number = ends.session_number
    where ended.exit_reason is not null and ended.is_told_right
),

-- Peers are those whose entry and end are known at the horizon's: what comes later, a halted one's price or a late bar's,
-- comes too late to change what others did.
compared as (
    select
        *,
        greatest(entry_known_at, exit_known_at, horizon_known_at) as known_at,
        exit_reason in ('horizon', 'worthless', 'cash_merger', 'stock_merger')
        and greatest(entry_known_at, exit_known_at) <= horizon_known_at as is_peer
    from dated
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
        ret
        - cast(sum({{ fixed_point('ret', 9) }}) filter (where is_peer) over peers as double)
        / count(*) filter (where is_peer) over peers / 1e9 as ret_rel,
        exit_reason,
        known_at
    from compared
    where known_at <= {{ as_of() }}
    window peers as (partition by session_date, horizon)
)

select * from final
order by session_date, horizon, security_id
