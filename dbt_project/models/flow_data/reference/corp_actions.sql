-- One row per security, type of event and ex-date, as known at as_of.
with versions as (
    select * from {{ ref('int_corp_action_versions') }}
),

symbols as (
    select * from {{ ref('symbols') }}
    where asset_class = 'equity'
),

-- Under a ticker that its company has left, and that nobody trades, an event is still that company's.
identified as (
    select
        versions.*,
        symbols.security_id
    from versions
    inner join symbols on versions.symbol = symbols.symbol and versions.ex_date >= symbols.valid_from
    where symbols.valid_to is null or versions.ex_date < symbols.valid_to or symbols.ended_by = 'renamed'
    qualify row_number() over (
        partition by versions.event_type, versions.event_key
        order by symbols.valid_from desc
    ) = 1
),

-- What one answer says twice and differently it does not say.
landed_closes as (
    select
        bars.symbol,
        bars.session_date,
        bars.ingest_id,
        bars.ingested_at,
        min(bars.close) as close
    from {{ ref('raw_equities_bars') }} as bars
    where
        {{ is_published('bars') }}
        and {{ implausible_date('bars', 'equities') }} is null
        -- None at all says that the close is missing, an absurd one says nothing.
        and (
            bars.close is null
            or bars.close <= 0
            or bars.close between {{ threshold('min_price_equities') }} and {{ threshold('max_price_equities') }}
        )
    group by bars.symbol, bars.session_date, bars.ingest_id, bars.ingested_at
    having min(bars.close) is not distinct from max(bars.close)
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
    from landed_closes as bars
    inner join symbols
        on {{ symbol_as_of('bars', 'session_date') }}
    group by symbols.security_id, bars.session_date
),

-- The same dividend told twice, once with fewer decimals, is one: the more exact of the two.
distinct_events as (
    select events.*
    from identified as events
    anti join identified as others
        on
            events.security_id = others.security_id
            and events.event_type = others.event_type
            and events.ex_date = others.ex_date
            and events.record_date is not distinct from others.record_date
            and events.pay_date is not distinct from others.pay_date
            and events.ratio is not distinct from others.ratio
            and events.event_key <> others.event_key
            and others.is_conflicting is not true
            and (
                (events.cash_usd is not distinct from others.cash_usd and events.event_key > others.event_key)
                or (
                    events.cash_usd <> others.cash_usd
                    and events.cash_usd = round(others.cash_usd, {{ decimals('events.cash_usd') }})
                )
            )
),

merged as (
    select
        security_id,
        min(symbol) as symbol,
        event_type,
        ex_date,
        min(record_date) as record_date,
        min(pay_date) as pay_date,
        bool_and(coalesce(is_conflicting, false)) as is_conflicting,
        list_sort(list(distinct ratio) filter (where ratio is not null and is_conflicting is not true)) as ratios,
        -- Dividends of one day add up; two tellings of a merger's cash do not, nor does one of two choices.
        case
            when event_type <> 'merger'
                then list_sum(list_sort(list(cash_usd) filter (where cash_usd is not null and is_conflicting is not true)))
            when count(distinct cash_usd) = 1 and count(cash_usd) = count(*) then min(cash_usd)
        end as cash_usd,
        min(action_id) as action_id,
        min(source_name) as source_name,
        max(known_at) as known_at,
        max(ingested_at) as ingested_at
    from distinct_events
    group by security_id, event_type, ex_date
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
        merged.*,
        first_bars.session_date as first_session_date,
        before.close as previous_close,
        before.close / after.close as price_ratio
    from merged
    left join first_bars on merged.security_id = first_bars.security_id
    asof left join closes as before
        on merged.security_id = before.security_id and merged.ex_date > before.session_date
    asof left join closes as after
        on merged.security_id = after.security_id and merged.ex_date <= after.session_date
),

-- Different ratios of one day are one event told wrong, or several events: the price says which.
told as (
    select
        *,
        unnest(list_distinct(list_append(ratios, list_product(ratios)))) as ratio
    from priced
    where len(ratios) > 1
),

borne_out as (
    select
        security_id,
        event_type,
        ex_date,
        ratio
    from told
    where ratio > 0 and not {{ is_denied('price_ratio', 'ratio') }}
    qualify row_number() over (
        partition by security_id, event_type, ex_date
        order by {{ log_distance('price_ratio / ratio') }}, ratio
    ) = 1
),

chosen as (
    select
        priced.*,
        case when len(priced.ratios) > 1 then borne_out.ratio else priced.ratios[1] end as ratio
    from priced
    left join borne_out
        on
            priced.security_id = borne_out.security_id
            and priced.event_type = borne_out.event_type
            and priced.ex_date = borne_out.ex_date
),

together as (
    select
        *,
        coalesce(max(ratio) filter (where event_type = 'split') over same_day, 1)
        * coalesce(max(ratio) filter (where event_type = 'stock_dividend') over same_day, 1) as day_ratio
    from chosen
    window same_day as (partition by security_id, ex_date)
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
            when is_conflicting then 'CONFLICTING_ROWS'
            when first_session_date is null or ex_date <= first_session_date then 'EX_DATE_BEFORE_DATA'
            when len(ratios) > 1 and ratio is null then 'RATIO_AMBIGUOUS'
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
    from together
)

select * from final
order by security_id, ex_date, event_type
