-- One row per security and session on which it traded, from data up to that session's close.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('share_classes')]) }}"
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
        classes.share_class,
        classes.is_let_in,
        delistings.delist_date is null or windowed.session_date < delistings.delist_date as is_listed,
        windowed.sessions_60 = 60 and windowed.adv60_usd >= {{ threshold('min_adv60_usd') }} as has_adv60,
        windowed.close >= {{ threshold('min_price_usd') }} as has_price,
        windowed.sessions_listed >= {{ threshold('seasoned_sessions') }} as is_seasoned,
        windowed.adv60_usd,
        windowed.known_at
    from windowed
    inner join {{ ref('share_classes') }} as classes on windowed.security_id = classes.security_id
    left join {{ ref('delistings') }} as delistings on windowed.security_id = delistings.security_id
    {% if is_incremental() %}
    where windowed.session_date >= {{ rebuild_from([ref('equities_ohlcv_adj'), ref('share_classes')]) }}
    {% endif %}
),

final as (
    select
        security_id,
        symbol,
        session_date,
        share_class,
        share_class = 'common_stock' as is_common,
        is_let_in,
        is_listed,
        has_adv60,
        has_price,
        is_seasoned,
        is_let_in and is_listed and has_adv60 and has_price and is_seasoned as is_eligible,
        case
            when not is_let_in then 'SHARE_CLASS'
            when not is_listed then 'NOT_LISTED'
            when is_seasoned is not true then 'UNSEASONED'
            when has_price is not true then 'PRICE'
            when has_adv60 is not true then 'LIQUIDITY'
            else 'LET_IN'
        end as rule,
        adv60_usd,
        known_at
    from flagged
)

select * from final
order by session_date, security_id
