-- One row per corporate action of the vendor, as it was known at as_of: the version in force, unless it was withdrawn.
with named as (
    select
        * replace (coalesce(symbol, json_extract_string(try_cast(extra as json), '$.acquiree_symbol')) as symbol),
        json_extract_string(try_cast(extra as json), '$.acquirer_symbol') as acquirer_symbol
    from {{ ref('raw_corp_actions') }}
),

typed as (
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
        coalesce(process_date, ex_date, effective_date) as listed_on,
        record_date,
        pay_date,
        case
            when action_type in ('forward_splits', 'reverse_splits', 'unit_splits') then new_rate / nullif(old_rate, 0)
            when action_type = 'stock_dividends' then 1 + rate
        end as ratio,
        case when action_type in ('cash_dividends', 'cash_mergers') then rate end as cash_usd,
        action_id,
        source_name,
        ingest_id,
        ingested_at
    from named
    -- A company that becomes its own successor under its ticker goes on.
    where symbol is not null and action_type <> 'name_changes' and acquirer_symbol is distinct from symbol
),

-- What has no id of its vendor is told apart by its content: a correction is then another event, the old one withdrawn.
told as (
    select
        *,
        coalesce(action_id, concat_ws('|', symbol, event_type, ex_date, ratio, cash_usd)) as event_key,
        struct_pack(s := symbol, t := event_type, d := ex_date, r := ratio, c := cash_usd, b := record_date, p := pay_date) as said
    from typed
    where event_type is not null
),

-- An answer that tells one action in two ways says which action it is and nothing else.
fetched as (
    select
        * exclude (said),
        (min(said) over answer <> max(said) over answer) as is_conflicting
    from told
    window
        answer as (
            partition by ingest_id, ingested_at, event_key order by said
            rows between unbounded preceding and unbounded following
        )
    qualify row_number() over answer = 1
),

compared as (
    select
        *,
        (
            lag(struct_pack(s := symbol, d := ex_date, r := ratio, c := cash_usd, x := is_conflicting)) over landings
            is distinct from struct_pack(s := symbol, d := ex_date, r := ratio, c := cash_usd, x := is_conflicting)
        ) as is_different,
        lag(ingested_at) over landings as previous_ingested_at,
        lag(listed_on) over landings as previous_listed_on,
        min(ingested_at) over (partition by event_type, event_key) as first_ingested_at
    from fetched
    window landings as (partition by event_type, event_key order by ingested_at, ingest_id)
),

-- Complete answers: all that the vendor lists in a window, of everybody or of the symbols asked for.
answers as (
    select
        window_start_date,
        window_end_date,
        nullif(symbols, '') as symbols,
        ingested_at
    from {{ ref('raw_fetches') }}
    where vendor = 'alpaca' and dataset = 'corp_actions' and outcome is distinct from 'failed'
),

-- What a complete answer between two landings lacked was withdrawn, and is known anew from the second one on.
relisted as (
    select distinct
        compared.event_type,
        compared.event_key,
        compared.ingested_at
    from compared
    inner join answers
        on
            compared.previous_ingested_at < answers.ingested_at
            and compared.ingested_at > answers.ingested_at
            and compared.previous_listed_on between answers.window_start_date and answers.window_end_date
            and (answers.symbols is null or list_contains(string_split(answers.symbols, ','), compared.symbol))
),

-- A later version is in force from its landing on, the first one from the beginning.
in_force as (
    select compared.*
    from compared
    left join relisted
        on
            compared.event_type = relisted.event_type
            and compared.event_key = relisted.event_key
            and compared.ingested_at = relisted.ingested_at
    where
        (compared.is_different or relisted.event_key is not null)
        and (compared.ingested_at <= {{ as_of() }} or compared.ingested_at = compared.first_ingested_at)
    qualify
        row_number() over (
            partition by compared.event_type, compared.event_key
            order by compared.ingested_at desc, compared.ingest_id desc
        ) = 1
),

seen as (
    select
        event_type,
        event_key,
        max(ingested_at) as last_ingested_at,
        arg_max(listed_on, ingested_at) as listed_on,
        arg_max(record_date, ingested_at) as record_date,
        arg_max(pay_date, ingested_at) as pay_date
    from compared
    where ingested_at <= {{ as_of() }} or ingested_at = first_ingested_at
    group by event_type, event_key
),

-- What an answer lacked after its ex-date had opened is known when it landed, not before.
late as (
    select distinct
        firsts.event_type,
        firsts.event_key
    from compared as firsts
    left join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and firsts.ex_date = calendars.session_date
    inner join answers
        on
            firsts.ingested_at > answers.ingested_at
            and answers.ingested_at >= coalesce(calendars.open_at, firsts.ex_date + interval '14 hours 30 minutes')
            and firsts.listed_on between answers.window_start_date and answers.window_end_date
            and (answers.symbols is null or list_contains(string_split(answers.symbols, ','), firsts.symbol))
    where firsts.ingested_at = firsts.first_ingested_at
),

withdrawn as (
    select distinct
        in_force.event_type,
        in_force.event_key
    from in_force
    inner join seen on in_force.event_type = seen.event_type and in_force.event_key = seen.event_key
    inner join answers
        on
            seen.last_ingested_at < answers.ingested_at
            and answers.ingested_at <= {{ as_of() }}
            and seen.listed_on between answers.window_start_date and answers.window_end_date
            and (answers.symbols is null or list_contains(string_split(answers.symbols, ','), in_force.symbol))
),

final as (
    select
        in_force.symbol,
        in_force.event_type,
        in_force.event_key,
        in_force.ex_date,
        seen.record_date,
        seen.pay_date,
        in_force.ratio,
        in_force.cash_usd,
        in_force.is_conflicting,
        in_force.action_id,
        in_force.source_name,
        in_force.ingested_at,
        greatest(
            coalesce(calendars.open_at, in_force.ex_date + interval '14 hours 30 minutes'),
            case
                when in_force.ingested_at > in_force.first_ingested_at or late.event_key is not null
                    then in_force.ingested_at
            end
        ) as known_at
    from in_force
    inner join seen on in_force.event_type = seen.event_type and in_force.event_key = seen.event_key
    left join late on in_force.event_type = late.event_type and in_force.event_key = late.event_key
    anti join withdrawn on in_force.event_type = withdrawn.event_type and in_force.event_key = withdrawn.event_key
    left join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and in_force.ex_date = calendars.session_date
)

select * from final
where known_at <= {{ as_of() }}
