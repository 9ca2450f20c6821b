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
        min(sessions.session_date) as delist_date,
        min(sessions.open_at) as opened_at
    from last_bars
    inner join sessions on last_bars.last_session_date < sessions.session_date
    group by last_bars.security_id
),

final as (
    select
        last_bars.security_id,
        last_bars.symbol,
        next_sessions.delist_date,
        last_bars.last_session_date,
        gone.reason,
        1 as source_priority,
        gone.source_name,
        greatest(next_sessions.opened_at, gone.seen_at) as known_at,
        gone.ingested_at
    from last_bars
    inner join gone on last_bars.security_id = gone.security_id
    inner join next_sessions on last_bars.security_id = next_sessions.security_id
)

select * from final
where known_at <= {{ as_of() }}
order by security_id
