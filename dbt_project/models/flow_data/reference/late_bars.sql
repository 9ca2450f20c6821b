-- One row per daily bar that a fetch asked for after its publication and did not get: it is known when it landed, not before.
with landings as (
    select
        'alpaca/bars_1d' as feed,
        bars.symbol,
        bars.session_date,
        min(bars.ingested_at) as landed_at
    from {{ ref('raw_equities_bars') }} as bars
    where {{ implausible_date('bars', 'equities') }} is null
    group by bars.symbol, bars.session_date
    union all
    select
        'binance/klines_1d' as feed,
        bars.symbol,
        bars.session_date,
        min(bars.ingested_at) as landed_at
    from {{ ref('raw_crypto_bars') }} as bars
    where {{ implausible_date('bars', 'crypto') }} is null
    group by bars.symbol, bars.session_date
),

days as (
    select distinct
        feed,
        session_date
    from landings
),

sessions as (
    select
        days.feed,
        days.session_date,
        case days.feed
            when 'binance/klines_1d'
                then
                    cast(days.session_date + 1 as timestamp) at time zone 'UTC'
                    + to_minutes(cast({{ threshold('publication_lag_crypto') }} as integer))
            else
                coalesce(
                    calendars.close_at,
                    (cast(days.session_date as timestamp) + interval '16 hours') at time zone 'America/New_York'
                )
                + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer))
        end as published_at
    from days
    left join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and days.session_date = calendars.session_date
),

-- A fetch that failed says nothing of what was there.
answers as (
    select
        vendor || '/' || endpoint as feed,
        symbols,
        window_start_date,
        window_end_date,
        ingested_at
    from {{ ref('raw_fetches') }}
    where vendor || '/' || endpoint in ('alpaca/bars_1d', 'binance/klines_1d') and outcome is distinct from 'failed'
),

distinct_lists as (
    select distinct
        feed,
        symbols
    from answers
),

-- Night after night the same symbols are asked for: each list of them is looked at once.
lists as (
    select
        feed,
        symbols,
        row_number() over (order by feed, symbols) as list_number
    from distinct_lists
),

members as (
    select
        list_number,
        feed,
        unnest(string_split(symbols, ',')) as symbol
    from lists
),

asked as (
    select
        lists.list_number,
        sessions.session_date,
        min(answers.ingested_at) as asked_at
    from answers
    inner join lists on answers.feed = lists.feed and answers.symbols = lists.symbols
    inner join sessions
        on
            answers.feed = sessions.feed
            and sessions.session_date between answers.window_start_date and answers.window_end_date
            and answers.ingested_at >= sessions.published_at
    group by lists.list_number, sessions.session_date
),

-- Most bars came with the first answer of all about their session.
earliest as (
    select
        lists.feed,
        asked.session_date,
        min(asked.asked_at) as asked_at
    from asked
    inner join lists on asked.list_number = lists.list_number
    group by lists.feed, asked.session_date
),

candidates as (
    select landings.*
    from landings
    inner join earliest
        on
            landings.feed = earliest.feed
            and landings.session_date = earliest.session_date
            and landings.landed_at > earliest.asked_at
),

final as (
    select
        case candidates.feed when 'alpaca/bars_1d' then 'equity' else 'crypto' end as asset_class,
        candidates.symbol,
        candidates.session_date,
        candidates.landed_at as known_at,
        min(asked.asked_at) as asked_at
    from candidates
    inner join members on candidates.feed = members.feed and candidates.symbol = members.symbol
    inner join asked
        on
            members.list_number = asked.list_number
            and candidates.session_date = asked.session_date
            and candidates.landed_at > asked.asked_at
    group by candidates.feed, candidates.symbol, candidates.session_date, candidates.landed_at
)

select * from final
order by asset_class, symbol, session_date
