-- One row per table, symbol and session of which the lake holds something.
{{ config(materialized='view') }}
with equity_bars as (
    select
        security_id,
        session_date,
        min(symbol) as symbol,
        min(source_name) as source_name,
        max(reject_reason) as reject_reason,
        max(flag) as flag,
        count(*) filter (where reject_reason is null) as accepted,
        max(ingested_at) as ingested_at
    from {{ ref('equities_bars_asof') }}
    group by security_id, session_date
),

-- A correction is a later landing of what was observed before.
first_landings as (
    select
        bars.security_id,
        bars.session_date,
        min(landings.ingested_at) as ingested_at
    from {{ ref('equities_bars_asof') }} as bars
    inner join {{ ref('raw_equities_bars') }} as landings
        on bars.symbol = landings.symbol and bars.session_date = landings.session_date
    group by bars.security_id, bars.session_date
),

first_crypto_landings as (
    select
        symbol,
        session_date,
        min(ingested_at) as ingested_at
    from {{ ref('raw_crypto_bars') }}
    group by symbol, session_date
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
        'curated/equities_ohlcv_adj' as table_name,
        bars.security_id as symbol,
        bars.session_date as dt,
        bars.source_name,
        bars.accepted as row_count,
        case bars.reject_reason when 'TOXIC_RETURN' then 'RET_OUTLIER' else bars.reject_reason end as reject_reason,
        coalesce(probes.verdict, adjusted.flag, bars.flag) as flag,
        first_landings.ingested_at as first_observed_at,
        bars.ingested_at as last_observed_at
    from equity_bars as bars
    left join first_landings
        on bars.security_id = first_landings.security_id and bars.session_date = first_landings.session_date
    left join {{ ref('equities_ohlcv_adj') }} as adjusted
        on bars.security_id = adjusted.security_id and bars.session_date = adjusted.session_date
    -- A version of the bar that came after the probe is another bar than the one compared.
    left join probes
        on
            bars.symbol = probes.symbol
            and bars.session_date = probes.session_date
            and bars.ingested_at <= probes.ingested_at
            and probes.verdict = 'CROSS_VENDOR_MISMATCH'
),

crypto as (
    select
        'curated/crypto_ohlcv' as table_name,
        bars.symbol,
        bars.session_date as dt,
        min(bars.source_name) as source_name,
        count(*) filter (where bars.reject_reason is null) as row_count,
        max(bars.reject_reason) as reject_reason,
        min(first_landings.ingested_at) as first_observed_at,
        max(bars.ingested_at) as last_observed_at
    from {{ ref('crypto_ohlcv') }} as bars
    left join first_crypto_landings as first_landings
        on bars.symbol = first_landings.symbol and bars.session_date = first_landings.session_date
    group by bars.symbol, bars.session_date
),

-- A fetch that failed covers nothing.
fetches as (
    select * from {{ ref('raw_fetches') }}
    where ingested_at <= {{ as_of() }} and outcome is distinct from 'failed'
),

-- Sparse event tables have no rows to count: what is there is a fetch that covered the session.
covered as (
    select
        'reference/corp_actions' as table_name,
        vendor,
        coalesce(window_start_date, date '0001-01-01') as from_date,
        coalesce(window_end_date, cast(ingested_at as date)) as to_date,
        ingested_at
    from fetches
    -- Some symbols' actions say nothing of the market's.
    where dataset = 'corp_actions' and coalesce(symbols, '') = ''
    union all
    select
        'reference/delistings' as table_name,
        vendor,
        date '0001-01-01' as from_date,
        cast(ingested_at as date) as to_date,
        ingested_at
    from fetches
    where dataset = 'assets'
),

events as (
    select
        covered.table_name,
        '' as symbol,
        calendars.session_date as dt,
        min(covered.vendor) as source_name,
        1 as row_count,
        min(covered.ingested_at) as first_observed_at,
        max(covered.ingested_at) as last_observed_at
    from covered
    inner join {{ ref('calendars') }} as calendars
        on
            calendars.exchange = 'XNYS'
            and calendars.session_date between covered.from_date and covered.to_date
            -- The window asked ends in the future, of which the answer says nothing.
            and covered.ingested_at >= calendars.open_at
    group by covered.table_name, calendars.session_date
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
        table_name,
        symbol,
        dt,
        source_name,
        cast(row_count as integer) as row_count,
        reject_reason,
        flag,
        first_observed_at,
        last_observed_at
    from united
)

select * from final
