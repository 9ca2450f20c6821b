-- One row per second vendor, security, family of events and ex-date, as the vendor told it last by as_of.
with spells as (
    select * from {{ ref('int_spells') }}
    where asset_class = 'equity'
),

-- One without an id is told apart by its content: a correction is then another event, the old one withdrawn.
versions as (
    select
        vendor,
        symbol,
        event_type as event_family,
        ex_date,
        new_rate / nullif(old_rate, 0) as ratio,
        rate as cash_usd,
        ingested_at
    from {{ ref('raw_corp_action_opinions') }}
    where ingested_at <= {{ as_of() }}
    qualify row_number() over (
        partition by vendor, symbol, event_type, coalesce(action_id, concat_ws('|', ex_date, old_rate, new_rate, rate))
        order by ingested_at desc, ingest_id desc
    ) = 1 and coalesce(currency, 'USD') = 'USD' and ex_date < cast({{ as_of() }} as date)
),

-- The same told under two ids is one.
told as (
    select
        vendor,
        symbol,
        event_family,
        ex_date,
        ratio,
        cash_usd,
        max(ingested_at) as ingested_at
    from versions
    group by vendor, symbol, event_family, ex_date, ratio, cash_usd
),

-- Under a ticker that its company has left, and that nobody trades, an event is still that company's.
identified as (
    select
        told.*,
        spells.security_id
    from told
    inner join spells on told.symbol = spells.symbol and told.ex_date >= spells.valid_from
    where spells.valid_to is null or told.ex_date < spells.valid_to or spells.ended_by = 'renamed'
    qualify row_number() over (
        partition by told.vendor, told.symbol, told.event_family, told.ex_date, told.ratio, told.cash_usd
        order by spells.valid_from desc
    ) = 1
),

later_answers as (
    select
        identified.vendor,
        identified.security_id,
        identified.event_family,
        identified.ex_date,
        max(fetches.ingested_at) as answered_at
    from identified
    inner join {{ ref('int_action_fetches') }} as fetches
        on
            identified.vendor = fetches.vendor
            and identified.event_family = fetches.event_family
            and identified.ex_date between fetches.start_date and fetches.end_date
    where fetches.security_id in ('*', identified.security_id)
    group by identified.vendor, identified.security_id, identified.event_family, identified.ex_date
),

in_force as (
    select identified.*
    from identified
    anti join later_answers
        on
            identified.vendor = later_answers.vendor
            and identified.security_id = later_answers.security_id
            and identified.event_family = later_answers.event_family
            and identified.ex_date = later_answers.ex_date
            and identified.ingested_at < later_answers.answered_at
),

final as (
    select
        vendor,
        security_id,
        min(symbol) as symbol,
        event_family,
        ex_date,
        list_product(list_sort(list(ratio) filter (where ratio is not null))) as ratio,
        list_sum(list_sort(list(cash_usd) filter (where cash_usd is not null))) as cash_usd,
        max(ingested_at) as ingested_at
    from in_force
    group by vendor, security_id, event_family, ex_date
)

select * from final
