-- One row per equity, as known at as_of: its share class, and whether the universe lets that in.
{%- set of_shares = '(select * from ' ~ ref('raw_screener_types') ~ " where market = 'america')" %}
with spells as (
    select * from {{ ref('int_spells') }}
    where asset_class = 'equity'
),

known_words as (
    select * from {{ ref('share_class_words') }}
),

sources as (
    select
        source,
        min(priority) as priority
    from known_words
    group by source
),

files as (
    select
        'file' as source,
        symbol,
        lower(asset_type) as word,
        cast(ingested_at as date) as told_of,
        false as is_dated,
        ingested_at
    from {{ as_landed(ref('raw_sectors'), ['symbol']) }}
),

-- The first landing of each vendor serves what was before it. Of a ticker that lived twice each life has its last day.
listings as (
    {%- for vendor in ['massive', 'alphavantage', 'sec_edgar'] %}
    {%- set of_vendor = '(select * from ' ~ ref('raw_listings') ~ " where vendor = '" ~ vendor ~ "')" %}
    select * from {{ as_landed(of_vendor, ['symbol'], ['list_date', 'delisted_date']) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

vendors as (
    select
        vendor as source,
        symbol,
        lower(listing_type) as word,
        coalesce(delisted_date, list_date) as told_of,
        delisted_date is not null as is_dated,
        ingested_at
    from listings
),

-- Who files as an investment company is a fund under each of its tickers.
filers as (
    select
        'sec_edgar' as source,
        listings.symbol,
        known_words.word,
        listings.list_date as told_of,
        false as is_dated,
        listings.ingested_at
    from listings
    inner join {{ as_landed(ref('raw_filings'), ['cik', 'accession_number']) }} as filings on listings.cik = filings.cik
    inner join known_words on lower(filings.form) = known_words.word and known_words.source = 'sec_edgar'
    where listings.vendor = 'sec_edgar'
    group by all
),

-- The asset that trades speaks for a ticker.
assets as (
    select *
    from {{ as_landed(ref('raw_assets'), ['asset_id', 'symbol']) }}
    qualify row_number() over (partition by symbol order by status = 'active' desc, ingested_at desc, asset_id asc) = 1
),

attributes as (
    select
        'alpaca' as source,
        symbol,
        'ptp' as word,
        cast(ingested_at as date) as told_of,
        false as is_dated,
        ingested_at
    from assets
    where extra ->> '$.attributes' like '%"ptp%'
),

screened as (
    select
        'tradingview' as source,
        symbol,
        concat_ws(
            '/',
            lower(max(listing_type) filter (where screener_field = 'type')),
            lower(max(listing_type) filter (where screener_field = 'typespecs') ->> '$[0]')
        ) as word,
        cast(max(ingested_at) as date) as told_of,
        false as is_dated,
        max(ingested_at) as ingested_at
    from {{ as_landed(of_shares, ['symbol', 'screener_field']) }}
    group by symbol
),

told as (
    select * from files
    union all
    select * from vendors
    union all
    select * from filers
    union all
    select * from attributes
    union all
    select * from screened
),

-- Under a ticker that its company has left, and that nobody trades, a word is still about that company.
matched as (
    select
        spells.security_id,
        spells.valid_from,
        told.*,
        told.told_of >= spells.valid_from
        and (spells.valid_to is null or told.told_of < spells.valid_to or spells.ended_by = 'renamed') as is_of_its_day
    from told
    inner join spells on told.symbol = spells.symbol
    where told.word <> ''
),

-- What is said of a ticker without a date serves its other companies where nothing is said of them: nobody could know, when they
-- traded, that another one would have it.
placed as (
    select
        * exclude (is_of_its_day),
        is_of_its_day and row_number() over (
            partition by source, symbol, told_of, word, is_of_its_day
            order by valid_from desc
        ) = 1 as is_its_own
    from matched
    qualify is_its_own or not is_dated
),

newest as (
    select * from placed
    qualify row_number() over (
        partition by security_id, source
        order by is_its_own desc, told_of desc, ingested_at desc, symbol desc, word asc
    ) = 1
),

classed as (
    select
        newest.security_id,
        newest.source,
        newest.word,
        newest.is_its_own,
        rules.share_class,
        rules.is_let_in,
        coalesce(known_words.priority, sources.priority) as priority
    from newest
    inner join sources on newest.source = sources.source
    left join known_words on newest.source = known_words.source and newest.word = known_words.word
    inner join {{ ref('share_class_rules') }} as rules on coalesce(known_words.share_class, 'other') = rules.share_class
),

spoken as (
    select
        *,
        count(*) over of_security as sources,
        bool_or(is_let_in) over of_security <> bool_and(is_let_in) over of_security as is_disputed
    from classed
    window of_security as (partition by security_id)
    qualify row_number() over (partition by security_id order by is_its_own desc, priority asc, source asc) = 1
),

equities as (
    select
        security_id,
        arg_max(symbol, valid_from) as symbol
    from spells
    group by security_id
),

final as (
    select
        equities.security_id,
        equities.symbol,
        rules.share_class,
        rules.is_let_in,
        spoken.source as class_source,
        spoken.word as class_word,
        coalesce(spoken.sources, 0) as class_sources,
        coalesce(spoken.is_disputed, false) as is_disputed
    from equities
    left join spoken on equities.security_id = spoken.security_id
    inner join {{ ref('share_class_rules') }} as rules on coalesce(spoken.share_class, 'unknown') = rules.share_class
)

select * from final
order by security_id
