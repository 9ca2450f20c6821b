-- One row per security, type of event and ex-date, as known at as_of.
with typed as (
    select
        symbol,
        case
            when action_type in ('forward_splits', 'reverse_splits', 'unit_splits') then 'split'
            when action_type = 'stock_dividends' then 'stock_dividend'
            when action_type = 'cash_dividends' and is_special then 'special_dividend'
            when action_type = 'cash_dividends' then 'dividend'
            when action_type = 'spin_offs' then 'spinoff'
            when action_type in ('cash_mergers', 'stock_mergers', 'stock_and_cash_mergers') then 'merger'
            when action_type = 'worthless_removals' then 'worthless'
        end as event_type,
        coalesce(ex_date, effective_date, process_date) as ex_date,
        record_date,
        pay_date,
        case
            when action_type in ('forward_splits', 'reverse_splits', 'unit_splits') then new_rate / nullif(old_rate, 0)
            when action_type = 'stock_dividends' then 1 + rate
        end as ratio,
        case when action_type = 'cash_dividends' then rate end as cash_usd,
        action_id,
        source_name,
        ingest_id,
        ingested_at
    from {{ ref('raw_corp_actions') }}
    where symbol is not null and action_type <> 'name_changes'
),

fetched as (
    select
        symbol,
        event_type,
        ex_date,
        min(record_date) as record_date,
        min(pay_date) as pay_date,
        list_product(list_sort(list(distinct ratio) filter (where ratio is not null))) as ratio,
        list_sum(list_sort(list(distinct cash_usd) filter (where cash_usd is not null))) as cash_usd,
        min(action_id) as action_id,
        min(source_name) as source_name,
        ingest_id,
        ingested_at
    from typed
    where event_type is not null
    group by symbol, event_type, ex_date, ingest_id, ingested_at
),

versions as (
    select
        *,
        row_number() over fetches as version_number,
        (
            lag(struct_pack(r := ratio, c := cash_usd)) over fetches
            is distinct from struct_pack(r := ratio, c := cash_usd)
        ) as is_different
    from fetched
    window fetches as (partition by symbol, event_type, ex_date order by ingested_at, ingest_id)
),

dated as (
    select
        versions.*,
        case
            when versions.version_number > 1
                then greatest(versions.ingested_at, coalesce(calendars.open_at, versions.ex_date + interval '14 hours 30 minutes'))
            else coalesce(calendars.open_at, versions.ex_date + interval '14 hours 30 minutes')
        end as known_at
    from versions
    left join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and versions.ex_date = calendars.session_date
    where versions.version_number = 1 or versions.is_different
),

known as (
    select * from dated
    where known_at <= {{ as_of() }}
    qualify row_number() over (
        partition by symbol, event_type, ex_date
        order by version_number desc
    ) = 1
),

identified as (
    select
        known.*,
        symbols.security_id
    from known
    inner join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('known', 'ex_date', asset_class='equity') }}
),

-- The close as it was known at as_of, of every session with a bar.
closes as (
    select
        symbols.security_id,
        bars.session_date,
        coalesce(
            arg_max(bars.close, bars.ingest_id) filter (where bars.ingested_at <= {{ as_of() }}),
            arg_min(bars.close, bars.ingest_id)
        ) as close
    from {{ ref('raw_equities_bars') }} as bars
    inner join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('bars', 'session_date', asset_class='equity') }}
    where
        {{ implausible_date('bars', 'equities') }} is null
        -- None at all says that the close is missing, an absurd one says nothing.
        and (
            bars.close is null
            or bars.close <= 0
            or bars.close between {{ threshold('min_price_equities') }} and {{ threshold('max_price_equities') }}
        )
    group by symbols.security_id, bars.session_date
),

first_bars as (
    select
        security_id,
        min(session_date) as session_date
    from closes
    group by security_id
),

priced as (
    select
        identified.*,
        first_bars.session_date as first_session_date,
        closes.close as previous_close,
        coalesce(max(identified.ratio) filter (where identified.event_type = 'split') over same_day, 1)
        * coalesce(max(identified.ratio) filter (where identified.event_type = 'stock_dividend') over same_day, 1) as day_ratio
    from identified
    left join first_bars on identified.security_id = first_bars.security_id
    asof left join closes
        on identified.security_id = closes.security_id and identified.ex_date > closes.session_date
    window same_day as (partition by identified.security_id, identified.ex_date)
),

final as (
    select
        security_id,
        symbol,
        event_type,
        ex_date,
        record_date,
        pay_date,
        ratio,
        cash_usd,
        case
            when event_type in ('split', 'stock_dividend') and ratio > 0 then 1 / ratio
            when event_type like '%dividend' and previous_close > 0 then 1 - cash_usd * day_ratio / previous_close
        end as price_factor,
        case
            when first_session_date is null or ex_date <= first_session_date then 'EX_DATE_BEFORE_DATA'
            when event_type in ('split', 'stock_dividend') and coalesce(ratio, 0) <= 0 then 'RATIO_NOT_POSITIVE'
            when not ratio between {{ threshold('min_split_ratio') }} and {{ threshold('max_split_ratio') }} then 'RATIO_IMPLAUSIBLE'
            when event_type like '%dividend' and ratio is null and coalesce(cash_usd, 0) <= 0 then 'CASH_NOT_POSITIVE'
            when event_type like '%dividend' and ratio is null and coalesce(previous_close, 0) <= 0 then 'CLOSE_MISSING'
            when cash_usd > {{ threshold('max_dividend_of_close') }} * previous_close then 'CASH_IMPLAUSIBLE'
            when event_type in ('spinoff', 'merger', 'worthless') then 'NOT_A_PRICE_EVENT'
        end as reject_reason,
        1 as source_priority,
        source_name,
        action_id,
        known_at,
        ingested_at
    from priced
)

select * from final
order by security_id, ex_date, event_type
