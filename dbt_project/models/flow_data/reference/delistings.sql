-- One row per delisted security, as known at as_of.
with last_bars as (
    select
        symbols.security_id,
        arg_max(bars.symbol, bars.session_date) as symbol,
        max(bars.session_date) as last_session_date
    from {{ ref('raw_equities_bars') }} as bars
    inner join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('bars', 'session_date', asset_class='equity') }}
    where {{ is_published('bars') }} and {{ implausible_date('bars', 'equities') }} is null
    group by symbols.security_id
),

sessions as (
    select * from {{ ref('calendars') }}
    where exchange = 'XNYS'
),

listings as (
    select
        asset_id,
        symbol,
        status,
        source_name,
        ingested_at,
        max(ingested_at) filter (where status = 'active') over (partition by asset_id, symbol) as last_active_at
    from {{ ref('raw_assets') }}
    where {{ is_landed(ref('raw_assets')) }}
),

-- Of what the vendor's first listing has as inactive it is not known since when.
inactive as (
    select
        asset_id,
        symbol,
        min(source_name) as source_name,
        min(ingested_at) as ingested_at
    from listings
    where status = 'inactive' and (last_active_at is null or ingested_at > last_active_at)
    group by asset_id, symbol
),

-- A company whose ticker another one uses now is gone; that shows when the other one's first session has closed.
gone as (
    select
        symbols.security_id,
        case when symbols.ended_by = 'given_on' then 'ticker_given_on' else 'inactive_asset' end as reason,
        inactive.source_name,
        inactive.ingested_at,
        case
            when symbols.ended_by = 'given_on'
                then sessions.close_at + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer))
            when inactive.ingested_at > (select min(listings.ingested_at) from listings) then inactive.ingested_at
        end as seen_at
    from {{ ref('symbols') }} as symbols
    left join sessions on symbols.valid_to = sessions.session_date
    left join inactive on symbols.asset_id = inactive.asset_id and symbols.symbol = inactive.symbol
    where
        symbols.asset_class = 'equity'
        and (symbols.ended_by = 'given_on' or (symbols.valid_to is null and inactive.asset_id is not null))
),

next_sessions as (
    select
        last_bars.security_id,
        last_bars.last_session_date,
        min(sessions.session_date) as delist_date,
        min(sessions.open_at) as opened_at
    from last_bars
    inner join sessions on last_bars.last_session_date < sessions.session_date
    group by last_bars.security_id, last_bars.last_session_date
),

payouts as (
    select
        events.security_id,
        case
            when events.event_type = 'worthless' then 'worthless'
            when events.cash_usd > 0 then 'cash_merger'
            else 'stock_merger'
        end as terminal_reason,
        case
            when events.event_type = 'worthless' then 0
            when events.cash_usd > 0 then events.cash_usd
        end as terminal_value_usd,
        greatest(events.ex_date, next_sessions.delist_date) as paid_from,
        events.ex_date,
        events.known_at,
        events.source_name,
        events.ingested_at
    from {{ ref('corp_actions') }} as events
    inner join next_sessions
        on events.security_id = next_sessions.security_id and events.ex_date >= next_sessions.last_session_date
    where events.event_type in ('merger', 'worthless') and events.reject_reason = 'NOT_A_PRICE_EVENT'
),

-- An event says that a company is gone once a session has passed without a bar.
settled as (
    select
        payouts.* exclude (known_at),
        sessions.session_date as terminal_date,
        greatest(
            payouts.known_at,
            sessions.close_at + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer))
        ) as known_at
    from payouts
    asof inner join sessions on payouts.paid_from <= sessions.session_date
),

removals as (
    select * from settled
    where known_at <= {{ as_of() }}
    qualify row_number() over (partition by security_id order by ex_date, terminal_reason) = 1
),

missed as (
    select
        gone.*,
        greatest(next_sessions.opened_at, gone.seen_at) as known_at
    from gone
    inner join next_sessions on gone.security_id = next_sessions.security_id
),

-- What is known first says that it is gone; what holders got may be known later.
united as (
    select
        coalesce(missed.security_id, removals.security_id) as security_id,
        missed.known_at is not null and coalesce(missed.known_at <= removals.known_at, true) as is_missed_first,
        missed.reason,
        missed.source_name,
        missed.known_at,
        missed.ingested_at,
        removals.terminal_reason,
        removals.terminal_value_usd,
        removals.terminal_date,
        removals.known_at as terminal_known_at,
        removals.source_name as removal_source_name,
        removals.ingested_at as removal_ingested_at
    from missed
    full outer join removals on missed.security_id = removals.security_id
),

final as (
    select
        united.security_id,
        last_bars.symbol,
        next_sessions.delist_date,
        last_bars.last_session_date,
        case when united.is_missed_first then united.reason else united.terminal_reason end as reason,
        united.terminal_reason,
        cast(united.terminal_value_usd as double) as terminal_value_usd,
        united.terminal_date,
        1 as source_priority,
        case when united.is_missed_first then united.source_name else united.removal_source_name end as source_name,
        united.terminal_known_at,
        case when united.is_missed_first then united.known_at else united.terminal_known_at end as known_at,
        case when united.is_missed_first then united.ingested_at else united.removal_ingested_at end as ingested_at
    from united
    inner join last_bars on united.security_id = last_bars.security_id
    inner join next_sessions on united.security_id = next_sessions.security_id
)

select * from final
where known_at <= {{ as_of() }}
order by security_id
