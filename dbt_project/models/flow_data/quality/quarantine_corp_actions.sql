-- One row per corporate action that is not applied or that prices contradict, and per suspected missing split.
with rejected as (
    select
        security_id,
        symbol,
        ex_date,
        event_type,
        ratio,
        cash_usd,
        reject_reason as reason,
        'rejected' as verdict,
        cast(null as double) as price_ratio
    from {{ ref('corp_actions') }}
    where reject_reason is not null
),

jumps as (
    select
        security_id,
        symbol,
        session_date,
        split_ratio,
        flag,
        lag(close) over (partition by security_id order by session_date) / close as price_ratio
    from {{ ref('equities_ohlcv_adj') }}
),

suspects as (
    select
        security_id,
        symbol,
        session_date as ex_date,
        'split' as event_type,
        case when split_ratio <> 1 then split_ratio end as ratio,
        cast(null as double) as cash_usd,
        case
            when flag in ('RATIO_CONTRADICTS_PRICE', 'SPLIT_SUSPECTED') then flag
            when split_ratio <> 1 and abs(price_ratio / split_ratio - 1) > {{ threshold('split_jump_tolerance') }}
                then 'RATIO_CONTRADICTS_PRICE'
        end as reason,
        case flag when 'RATIO_CONTRADICTS_PRICE' then 'rejected' else 'flagged' end as verdict,
        price_ratio
    from jumps
),

final as (
    select * from rejected
    union all by name
    select * from suspects
    where reason is not null
)

select * from final
order by security_id, ex_date, event_type
