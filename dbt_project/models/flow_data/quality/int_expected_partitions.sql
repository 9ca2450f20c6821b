-- One row per table, symbol and session that should be there.
{{ config(materialized='view') }}
with closed_sessions as (
    select
        exchange,
        session_date,
        is_early_close
    from {{ ref('calendars') }}
    where close_at <= {{ as_of() }}
),

spans as (
    select
        bars.security_id,
        min(bars.session_date) as first_date,
        min(delistings.delist_date) as delist_date
    from {{ ref('equities_bars_asof') }} as bars
    left join {{ ref('delistings') }} as delistings on bars.security_id = delistings.security_id
    where bars.reject_reason is distinct from 'NO_SESSION'
    group by bars.security_id
),

-- Companies that were asked for and are listed as active, and have no bar at all.
asked as (
    select distinct unnest(string_split(symbols, ',')) as symbol
    from {{ ref('raw_fetches') }}
    where dataset = 'equities_bars_1d' and ingested_at <= {{ as_of() }}
),

listed as (
    select
        symbol,
        min(ingested_at) filter (where status = 'active') as seen_at,
        arg_max(status, struct_pack(landed_at := ingested_at, is_active := status = 'active')) as status
    from {{ ref('raw_assets') }}
    where ingested_at <= {{ as_of() }}
    group by symbol
),

barless as (
    select
        symbols.security_id,
        (
            select max(closed_sessions.session_date) from closed_sessions
            where closed_sessions.exchange = 'XNYS' and closed_sessions.session_date <= cast(listed.seen_at as date)
        ) as first_date,
        cast(null as date) as delist_date
    from listed
    inner join asked on listed.symbol = asked.symbol
    inner join {{ ref('symbols') }} as symbols
        on listed.symbol = symbols.symbol and symbols.asset_class = 'equity' and symbols.valid_to is null
    anti join spans on symbols.security_id = spans.security_id
    where listed.status = 'active'
),

all_spans as (
    select * from spans
    union all
    select * from barless
),

-- From which session on each table should hold each symbol, on which calendar, and until which day.
expected as (
    select
        'curated/equities_ohlcv_adj' as table_name,
        security_id as symbol,
        'XNYS' as calendar,
        first_date,
        delist_date as end_date
    from all_spans
    union all
    select
        'curated/crypto_ohlcv' as table_name,
        symbol,
        'UTC_24X7' as calendar,
        min(session_date) as first_date,
        cast(null as date) as end_date
    from {{ ref('crypto_ohlcv') }}
    group by symbol
    union all
    select
        events.table_name,
        '' as symbol,
        'XNYS' as calendar,
        min(spans.first_date) as first_date,
        cast(null as date) as end_date
    from spans
    cross join (values ('reference/corp_actions'), ('reference/delistings')) as events (table_name)
    group by events.table_name
),

final as (
    select
        expected.table_name,
        expected.symbol,
        closed_sessions.session_date as dt,
        -- A half day has few bars; it is nothing to an event table, whose symbol is empty.
        closed_sessions.is_early_close and expected.symbol <> '' as is_early_close,
        1 as expected_rows
    from expected
    inner join closed_sessions
        on
            expected.calendar = closed_sessions.exchange
            and expected.first_date <= closed_sessions.session_date
            and (expected.end_date is null or expected.end_date > closed_sessions.session_date)
)

select * from final
