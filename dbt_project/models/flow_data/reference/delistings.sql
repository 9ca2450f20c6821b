-- One row per delisted security, as known at as_of.
with last_bars as (
    select
        symbols.security_id,
        arg_max(bars.symbol, bars.session_date) as symbol,
        max(bars.session_date) as last_session_date
    from {{ ref('raw_equities_bars') }} as bars
    inner join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('bars', 'session_date', asset_class='equity') }}
    where {{ implausible_date('bars', 'equities') }} is null
    group by symbols.security_id
),

latest_assets as (
    select * from {{ ref('raw_assets') }}
    qualify row_number() over (partition by symbol order by ingested_at desc, ingest_id desc, asset_id desc) = 1
),

inactive as (
    select
        latest_assets.symbol,
        latest_assets.source_name,
        latest_assets.ingested_at
    from latest_assets
    inner join {{ ref('symbols') }} as symbols on latest_assets.symbol = symbols.symbol and symbols.valid_to is null
    where latest_assets.status = 'inactive'
),

next_sessions as (
    select
        last_bars.security_id,
        min(calendars.session_date) as delist_date,
        min(calendars.open_at) as known_at
    from last_bars
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and last_bars.last_session_date < calendars.session_date
    group by last_bars.security_id
),

final as (
    select
        last_bars.security_id,
        last_bars.symbol,
        next_sessions.delist_date,
        last_bars.last_session_date,
        'inactive_asset' as reason,
        1 as source_priority,
        inactive.source_name,
        next_sessions.known_at,
        inactive.ingested_at
    from last_bars
    inner join inactive on last_bars.symbol = inactive.symbol
    inner join next_sessions on last_bars.security_id = next_sessions.security_id
    where next_sessions.known_at <= {{ as_of() }}
)

select * from final
order by security_id
