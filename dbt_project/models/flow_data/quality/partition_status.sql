-- One row per table, symbol and session that should be there, made from universe and calendar, so that what is missing is a
-- RED row and not an absent one; a listed company without any bar is missing from the day its listing was seen. Sparse event tables
-- have no rows to count: their sessions are GREEN when a successful fetch covered them. A bar that a second vendor contradicts is AMBER.
-- A session holds one daily bar: two of them are RED, because nobody can say which one is true.
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
        arg_max(status, ingested_at) as status
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

expected_bars as (
    select
        all_spans.security_id,
        closed_sessions.session_date,
        closed_sessions.is_early_close
    from all_spans
    inner join closed_sessions
        on
            closed_sessions.exchange = 'XNYS'
            and all_spans.first_date <= closed_sessions.session_date
            and (all_spans.delist_date is null or all_spans.delist_date > closed_sessions.session_date)
),

equity_bars as (
    select
        security_id,
        session_date,
        min(symbol) as symbol,
        min(source_name) as source_name,
        max(reject_reason) as reject_reason,
        max(flag) as flag,
        count(*) filter (where reject_reason is null) as accepted,
        min(known_at) as known_at,
        max(ingested_at) as ingested_at
    from {{ ref('equities_bars_asof') }}
    group by security_id, session_date
),

-- The newest opinion of a second vendor about each bar, by the ticker that was asked for.
probes as (
    select
        symbol,
        session_date,
        verdict,
        ingested_at
    from {{ ref('raw_qc_probes') }}
    where ingested_at <= {{ as_of() }} and verdict <> 'NO_DATA'
    qualify row_number() over (partition by symbol, session_date order by ingested_at desc, ingest_id desc) = 1
),

equities as (
    select
        coalesce(bars.source_name, 'none') as source_name,
        'curated/equities_ohlcv_adj' as table_name,
        expected_bars.security_id as symbol,
        expected_bars.session_date as dt,
        case
            when bars.security_id is null or bars.accepted > 1 or bars.reject_reason is not null then 'RED'
            when probes.symbol is not null or bars.flag is not null then 'AMBER'
            else 'GREEN'
        end as status,
        case
            when bars.security_id is null then 'NO_DATA'
            when bars.accepted > 1 then 'ROW_COUNT_HIGH'
            when bars.reject_reason = 'TOXIC_RETURN' then 'RET_OUTLIER'
            else coalesce(
                bars.reject_reason,
                probes.verdict,
                bars.flag,
                case when expected_bars.is_early_close then 'SHORT_SESSION' else 'OK' end
            )
        end as qc_code,
        coalesce(bars.accepted, 0) as row_count,
        bars.known_at as first_observed_at,
        bars.ingested_at as last_observed_at
    from expected_bars
    left join equity_bars as bars
        on expected_bars.security_id = bars.security_id and expected_bars.session_date = bars.session_date
    -- A version of the bar that came after the probe is another bar than the one compared.
    left join probes
        on
            bars.symbol = probes.symbol
            and bars.session_date = probes.session_date
            and bars.ingested_at <= probes.ingested_at
            and probes.verdict = 'CROSS_VENDOR_MISMATCH'
),

crypto_spans as (
    select
        symbol,
        min(session_date) as first_date
    from {{ ref('crypto_ohlcv') }}
    group by symbol
),

crypto_bars as (
    select
        symbol,
        session_date,
        min(source_name) as source_name,
        max(reject_reason) as reject_reason,
        count(*) filter (where reject_reason is null) as accepted,
        min(known_at) as known_at,
        max(ingested_at) as ingested_at
    from {{ ref('crypto_ohlcv') }}
    group by symbol, session_date
),

crypto as (
    select
        coalesce(bars.source_name, 'none') as source_name,
        'curated/crypto_ohlcv' as table_name,
        crypto_spans.symbol,
        closed_sessions.session_date as dt,
        case
            when bars.symbol is null or bars.accepted > 1 or bars.reject_reason is not null then 'RED' else 'GREEN'
        end as status,
        case
            when bars.symbol is null then 'NO_DATA'
            when bars.accepted > 1 then 'ROW_COUNT_HIGH'
            else coalesce(bars.reject_reason, 'OK')
        end as qc_code,
        coalesce(bars.accepted, 0) as row_count,
        bars.known_at as first_observed_at,
        bars.ingested_at as last_observed_at
    from crypto_spans
    inner join closed_sessions
        on closed_sessions.exchange = 'UTC_24X7' and crypto_spans.first_date <= closed_sessions.session_date
    left join crypto_bars as bars
        on crypto_spans.symbol = bars.symbol and closed_sessions.session_date = bars.session_date
),

covered as (
    select
        'reference/corp_actions' as table_name,
        vendor,
        coalesce(window_start_date, date '0001-01-01') as from_date,
        coalesce(window_end_date, cast(ingested_at as date)) as to_date,
        ingested_at
    from {{ ref('raw_fetches') }}
    where dataset = 'corp_actions'
    union all
    select
        'reference/delistings' as table_name,
        vendor,
        date '0001-01-01' as from_date,
        cast(ingested_at as date) as to_date,
        ingested_at
    from {{ ref('raw_fetches') }}
    where dataset = 'assets'
),

event_sessions as (
    select
        tables.table_name,
        closed_sessions.session_date
    from closed_sessions
    cross join (values ('reference/corp_actions'), ('reference/delistings')) as tables (table_name)
    where
        closed_sessions.exchange = 'XNYS'
        and closed_sessions.session_date >= (select min(spans.first_date) from spans)
),

events as (
    select
        coalesce(min(covered.vendor), 'none') as source_name,
        event_sessions.table_name,
        '' as symbol,
        event_sessions.session_date as dt,
        case when count(covered.table_name) > 0 then 'GREEN' else 'RED' end as status,
        case when count(covered.table_name) > 0 then 'OK' else 'NO_DATA' end as qc_code,
        cast(count(covered.table_name) > 0 as integer) as row_count,
        min(covered.ingested_at) as first_observed_at,
        max(covered.ingested_at) as last_observed_at
    from event_sessions
    left join covered
        on
            event_sessions.table_name = covered.table_name
            and event_sessions.session_date between covered.from_date and covered.to_date
    group by event_sessions.table_name, event_sessions.session_date
),

united as (
    select * from equities
    union all by name
    select * from crypto
    union all by name
    select * from events
),

final as (
    select
        cast(md5(concat_ws('|', table_name, symbol, dt)) as uuid) as id,
        source_name,
        table_name,
        symbol,
        dt,
        cast(null as varchar) as partition_key,
        status,
        cast(case status when 'GREEN' then 1 when 'AMBER' then 0.5 else 0 end as double) as qc_score,
        cast(row_count as integer) as row_count,
        1 as expected_rows,
        qc_code,
        first_observed_at,
        last_observed_at
    from united
)

select * from final
order by table_name, dt, symbol
