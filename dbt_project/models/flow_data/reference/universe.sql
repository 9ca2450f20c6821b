-- One row per security and session on which it traded, from data up to that session's close.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('symbols')]) }}"
) }}
with bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        bars.close,
        {{ fixed_point('bars.dollar_volume_usd', 0) }} as dollar_volume,
        bars.known_at
    from {{ ref('equities_ohlcv_adj') }} as bars
),

windowed as (
    select
        *,
        sum(dollar_volume) over last_60 / 60.0 as adv60_usd,
        count(*) over last_60 as sessions_60,
        row_number() over so_far as sessions_listed
    from bars
    window
        last_60 as (partition by security_id order by session_date rows 59 preceding),
        so_far as (partition by security_id order by session_date)
),

flagged as (
    select
        windowed.security_id,
        windowed.symbol,
        windowed.session_date,
        coalesce(symbols.asset_type in ('common_stock', 'Common Stock', 'Stock'), false) as is_common,
        delistings.delist_date is null or windowed.session_date < delistings.delist_date as is_listed,
        windowed.sessions_60 = 60 and windowed.adv60_usd >= {{ threshold('min_adv60_usd') }} as has_adv60,
        windowed.close >= {{ threshold('min_price_usd') }} as has_price,
        windowed.sessions_listed >= {{ threshold('seasoned_sessions') }} as is_seasoned,
        windowed.adv60_usd,
        windowed.known_at
    from windowed
    left join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('windowed', 'session_date', keys=['security_id', 'symbol']) }}
    left join {{ ref('delistings') }} as delistings on windowed.security_id = delistings.security_id
    {% if is_incremental() %}
    where windowed.session_date >= {{ rebuild_from([ref('equities_ohlcv_adj'), ref('symbols')]) }}
    {% endif %}
),

final as (
    select
        security_id,
        symbol,
        session_date,
        is_common,
        is_listed,
        has_adv60,
        has_price,
        is_seasoned,
        is_common and is_listed and has_adv60 and has_price and is_seasoned as is_eligible,
        adv60_usd,
        known_at
    from flagged
)

select * from final
order by session_date, security_id
