-- One row per second vendor, security, family of events and ex-date that both sides were asked about, as known at as_of.
with opinions as (
    select * from {{ ref('int_action_opinions') }}
),

fetches as (
    select * from {{ ref('int_action_fetches') }}
),

second_vendors as (
    select distinct vendor
    from fetches
    where vendor <> 'alpaca'
),

feeding as (
    select
        *,
        case when event_type in ('split', 'stock_dividend') then 'split' else 'dividend' end as event_family
    from {{ ref('corp_actions') }}
    where
        event_type in ('split', 'stock_dividend', 'dividend', 'special_dividend')
        and ex_date < cast({{ as_of() }} as date)
),

-- All of a day together: vendors do not agree on what is special, or a dividend in stock.
events as (
    select
        security_id,
        min(symbol) as symbol,
        event_family,
        ex_date,
        list_product(list_sort(list(ratio) filter (where ratio is not null))) as ratio,
        list_sum(list_sort(list(cash_usd) filter (where cash_usd is not null))) as cash_usd,
        max(known_at) as known_at
    from feeding
    group by security_id, event_family, ex_date
),

-- Shares at as_of for one at the ex-date: some vendors tell a dividend per share of today.
later_splits as (
    select
        events.security_id,
        events.ex_date,
        list_product(list_sort(list(splits.ratio))) as later_ratio
    from events
    inner join events as splits
        on events.security_id = splits.security_id and events.ex_date < splits.ex_date and splits.event_family = 'split'
    where events.event_family = 'dividend' and splits.ratio > 0
    group by events.security_id, events.ex_date
),

questions as (
    select
        events.security_id,
        events.event_family,
        events.ex_date,
        vendors.vendor
    from events
    cross join second_vendors as vendors
    union
    select
        security_id,
        event_family,
        ex_date,
        'alpaca' as vendor
    from opinions
),

-- Who told of an event was asked about it, whatever the window.
answers as (
    select
        questions.vendor,
        questions.security_id,
        questions.event_family,
        questions.ex_date,
        greatest(max(fetches.ingested_at), max(opinions.ingested_at)) as answered_at
    from questions
    left join fetches
        on
            questions.vendor = fetches.vendor
            and questions.event_family = fetches.event_family
            and questions.ex_date between fetches.start_date and fetches.end_date
            and fetches.security_id in ('*', questions.security_id)
    left join opinions
        on
            questions.vendor = opinions.vendor
            and questions.security_id = opinions.security_id
            and questions.event_family = opinions.event_family
            and questions.ex_date = opinions.ex_date
    group by questions.vendor, questions.security_id, questions.event_family, questions.ex_date
    having answered_at is not null
),

asked as (
    select
        events.*,
        coalesce(later_splits.later_ratio, 1) as later_ratio,
        answers.vendor,
        answers.answered_at
    from events
    inner join answers
        on
            events.security_id = answers.security_id
            and events.event_family = answers.event_family
            and events.ex_date = answers.ex_date
            and answers.vendor <> 'alpaca'
    left join later_splits on events.security_id = later_splits.security_id and events.ex_date = later_splits.ex_date
),

near as (
    select
        asked.*,
        opinions.ex_date as opinion_ex_date,
        opinions.ratio as opinion_ratio,
        opinions.cash_usd as opinion_cash_usd,
        opinions.ingested_at as told_at,
        coalesce(
            abs(opinions.ratio / asked.ratio - 1) <= {{ threshold('opinion_ratio_tolerance') }}
            or abs(opinions.cash_usd / asked.cash_usd - 1) <= {{ threshold('opinion_cash_tolerance') }},
            false
        ) as is_equal,
        coalesce(
            abs(opinions.cash_usd * asked.later_ratio / asked.cash_usd - 1) <= {{ threshold('opinion_cash_tolerance') }},
            false
        ) as is_equal_adjusted
    from asked
    inner join opinions
        on
            asked.vendor = opinions.vendor
            and asked.security_id = opinions.security_id
            and asked.event_family = opinions.event_family
            and abs(asked.ex_date - opinions.ex_date) <= {{ threshold('opinion_moved_days') }}
),

-- The same day whatever the value; another day only where the value is the same and no event is of that day.
laid as (
    select near.*
    from near
    left join events as others
        on
            near.security_id = others.security_id
            and near.event_family = others.event_family
            and near.opinion_ex_date = others.ex_date
    where
        near.opinion_ex_date = near.ex_date
        or (others.ex_date is null and (near.is_equal or near.is_equal_adjusted))
    qualify row_number() over (
        partition by near.vendor, near.security_id, near.event_family, near.ex_date
        order by abs(near.opinion_ex_date - near.ex_date), near.opinion_ex_date
    ) = 1
),

of_feeding as (
    select
        asked.security_id,
        asked.symbol,
        asked.event_family,
        asked.ex_date,
        asked.vendor,
        case
            when laid.vendor is null then 'ONLY_FEEDING'
            when laid.opinion_ex_date <> laid.ex_date then 'DATE_DIFFERS'
            when laid.is_equal or laid.is_equal_adjusted then 'AGREES'
            else 'VALUE_DIFFERS'
        end as verdict,
        asked.ratio,
        asked.cash_usd,
        laid.opinion_ex_date,
        laid.opinion_ratio,
        laid.opinion_cash_usd,
        coalesce(laid.is_equal_adjusted and not laid.is_equal, false) as is_split_adjusted,
        greatest(asked.known_at, coalesce(laid.told_at, asked.answered_at)) as known_at
    from asked
    left join laid
        on
            asked.vendor = laid.vendor
            and asked.security_id = laid.security_id
            and asked.event_family = laid.event_family
            and asked.ex_date = laid.ex_date
),

only_told as (
    select
        opinions.security_id,
        opinions.symbol,
        opinions.event_family,
        opinions.ex_date,
        opinions.vendor,
        'ONLY_OPINION' as verdict,
        opinions.ex_date as opinion_ex_date,
        opinions.ratio as opinion_ratio,
        opinions.cash_usd as opinion_cash_usd,
        false as is_split_adjusted,
        greatest(opinions.ingested_at, answers.answered_at) as known_at
    from opinions
    inner join answers
        on
            answers.vendor = 'alpaca'
            and opinions.security_id = answers.security_id
            and opinions.event_family = answers.event_family
            and opinions.ex_date = answers.ex_date
    anti join of_feeding
        on
            opinions.vendor = of_feeding.vendor
            and opinions.security_id = of_feeding.security_id
            and opinions.event_family = of_feeding.event_family
            and opinions.ex_date in (of_feeding.ex_date, of_feeding.opinion_ex_date)
),

priorities as (
    select
        vendor,
        case dataset when 'corp_actions_splits' then 'split' else 'dividend' end as event_family,
        cast(min(priority) as integer) as source_priority
    from {{ ref('vendor_capabilities') }}
    where dataset in ('corp_actions_splits', 'corp_actions_dividends')
    group by vendor, dataset
),

verdicts as (
    select * from of_feeding
    union all by name
    select * from only_told
),

final as (
    select
        verdicts.security_id,
        verdicts.symbol,
        verdicts.event_family,
        verdicts.ex_date,
        verdicts.vendor,
        priorities.source_priority,
        verdicts.verdict,
        verdicts.ratio,
        verdicts.cash_usd,
        verdicts.opinion_ex_date,
        verdicts.opinion_ratio,
        verdicts.opinion_cash_usd,
        verdicts.is_split_adjusted,
        verdicts.known_at
    from verdicts
    left join priorities on verdicts.vendor = priorities.vendor and verdicts.event_family = priorities.event_family
)

select * from final
order by security_id, ex_date, event_family, vendor
