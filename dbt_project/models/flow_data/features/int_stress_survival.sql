-- One row per security and stress event that it lived through, from data up to the event's end.
with bars as (
    select
        security_id,
        'XNYS' as calendar,
        session_date
    from {{ ref('equities_ohlcv_adj') }}
    union all
    select
        security_id,
        'UTC_24X7' as calendar,
        session_date
    from {{ ref('crypto_ohlcv') }}
    where reject_reason is null
),

starts as (
    select
        security_id,
        any_value(calendar) as calendar,
        min(session_date) as first_date
    from bars
    group by security_id
),

expected as (
    select
        events.event,
        calendars.exchange as calendar,
        min(events.start_date) as start_date,
        min(events.end_date) as end_date,
        count(*) as sessions
    from {{ ref('stress_events') }} as events
    inner join {{ ref('calendars') }} as calendars
        on
            calendars.session_date between events.start_date and events.end_date
            and calendars.close_at <= {{ as_of() }}
    where events.end_date <= cast({{ as_of() }} as date)
    group by events.event, calendars.exchange
),

traded as (
    select
        bars.security_id,
        expected.event,
        count(*) as sessions
    from bars
    inner join expected
        on bars.calendar = expected.calendar and bars.session_date between expected.start_date and expected.end_date
    group by bars.security_id, expected.event
),

tested as (
    select
        starts.security_id,
        expected.event,
        expected.end_date,
        coalesce(traded.sessions, 0) > 0.95 * expected.sessions as is_survived
    from starts
    inner join expected on starts.calendar = expected.calendar and starts.first_date <= expected.start_date
    left join traded on starts.security_id = traded.security_id and expected.event = traded.event
),

final as (
    select
        security_id,
        event,
        end_date,
        count(*) over so_far as events,
        count(*) filter (where is_survived) over so_far as survived
    from tested
    window so_far as (partition by security_id order by end_date, event)
)

select * from final
order by security_id, end_date, event
