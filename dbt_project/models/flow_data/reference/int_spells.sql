-- One row per spell of a ticker: the days on which it meant one company, as known at as_of.
with recursive claims as (
    select
        action_id,
        ingest_id,
        old_symbol,
        new_symbol,
        coalesce(effective_date, ex_date, process_date) as renamed_on,
        coalesce(process_date, ex_date, effective_date) as listed_on,
        coalesce(action_id, concat_ws('|', old_symbol, new_symbol, effective_date, ex_date, process_date)) as rename_key,
        ingested_at
    from {{ ref('raw_corp_actions') }}
    where action_type = 'name_changes'
),

-- A rename that one answer tells in two ways is not told.
contradicted as (
    select
        action_id,
        ingest_id
    from claims
    group by action_id, ingest_id
    having count(distinct struct_pack(o := old_symbol, n := new_symbol, d := renamed_on)) > 1
),

told as (
    select
        claims.*,
        min(claims.ingested_at) over (partition by claims.rename_key) as first_ingested_at
    from claims
    anti join contradicted on claims.action_id = contradicted.action_id and claims.ingest_id = contradicted.ingest_id
    where
        claims.old_symbol is not null
        and claims.new_symbol is not null
        and claims.old_symbol <> claims.new_symbol
        and year(claims.renamed_on) >= {{ threshold('first_year_equities') }}
),

-- A later version is in force from its landing on, the first one from the beginning.
in_force as (
    select * from told
    where ingested_at <= {{ as_of() }} or ingested_at is not distinct from first_ingested_at
    qualify row_number() over (partition by rename_key order by ingested_at desc, ingest_id desc) = 1
),

answers as (
    select
        window_start_date,
        window_end_date,
        nullif(symbols, '') as symbols,
        ingested_at
    from {{ ref('raw_fetches') }}
    where vendor = 'alpaca' and dataset = 'corp_actions' and outcome is distinct from 'failed'
),

-- A rename that an answer lacked on its day or later was not known before it landed.
late as (
    select distinct in_force.rename_key
    from in_force
    left join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and in_force.renamed_on = calendars.session_date
    inner join answers
        on
            in_force.first_ingested_at > answers.ingested_at
            and answers.ingested_at >= coalesce(calendars.open_at, in_force.renamed_on + interval '14 hours 30 minutes')
            and in_force.listed_on between answers.window_start_date and answers.window_end_date
            and (
                answers.symbols is null
                or list_has_any(string_split(answers.symbols, ','), [in_force.old_symbol, in_force.new_symbol])
            )
    where in_force.first_ingested_at > {{ as_of() }}
),

-- A later answer that covers it and lacks it withdraws it.
withdrawn as (
    select distinct in_force.rename_key
    from in_force
    inner join answers
        on
            in_force.ingested_at < answers.ingested_at
            and answers.ingested_at <= {{ as_of() }}
            and in_force.listed_on between answers.window_start_date and answers.window_end_date
            and (
                answers.symbols is null
                or list_has_all(string_split(answers.symbols, ','), [in_force.old_symbol, in_force.new_symbol])
            )
),

renames as (
    select distinct
        in_force.old_symbol,
        in_force.new_symbol,
        in_force.renamed_on
    from in_force
    anti join late on in_force.rename_key = late.rename_key
    anti join withdrawn on in_force.rename_key = withdrawn.rename_key
    where in_force.renamed_on <= cast({{ as_of() }} as date)
),

bars as (
    select distinct
        bars.symbol,
        bars.session_date
    from {{ ref('raw_equities_bars') }} as bars
    where {{ is_published('bars') }} and {{ implausible_date('bars', 'equities') }} is null
),

first_bars as (
    select
        symbol,
        min(session_date) as session_date
    from bars
    group by symbol
),

-- An asset that is listed under another ticker now has left this one.
listed as (
    select
        symbol,
        asset_id,
        status = 'active' and ingested_at = max(ingested_at) over (partition by asset_id) as is_active
    from {{ as_landed(ref('raw_assets'), ['asset_id', 'symbol']) }}
),

assets as (
    select
        symbol,
        count(distinct asset_id) as assets,
        bool_or(is_active) as is_active
    from listed
    group by symbol
),

tickers as (
    select symbol from first_bars
    union
    select symbol from assets
),

-- A ticker that more than one asset has changes hands where its bars pause for long.
pauses as (
    select
        bars.symbol,
        bars.session_date as cut_on
    from bars
    inner join assets on bars.symbol = assets.symbol and assets.assets > 1
    qualify
        bars.session_date - lag(bars.session_date) over (partition by bars.symbol order by bars.session_date)
        > {{ threshold('identity_gap_days') }}
),

-- A company takes a ticker that another one has had bars under while it had bars of its own.
taken as (
    select distinct
        renames.new_symbol as symbol,
        renames.renamed_on as cut_on
    from renames
    inner join first_bars as theirs on renames.new_symbol = theirs.symbol and renames.renamed_on > theirs.session_date
    inner join first_bars as its_own on renames.old_symbol = its_own.symbol and renames.renamed_on > its_own.session_date
),

cuts as (
    select
        symbol,
        cut_on,
        max(reason) as reason
    from (
        select
            old_symbol as symbol,
            renamed_on as cut_on,
            'renamed' as reason
        from renames
        union all
        select
            symbol,
            cut_on,
            'given_on' as reason
        from pauses
        union all
        select
            symbol,
            cut_on,
            'given_on' as reason
        from taken
    ) as reasons
    group by symbol, cut_on
),

pieces as (
    select
        tickers.symbol,
        lag(cuts.cut_on, 1, date '0001-01-01') over cuts_of_symbol as valid_from,
        cuts.cut_on as valid_to,
        cuts.reason as ended_by
    from tickers
    left join cuts on tickers.symbol = cuts.symbol
    window cuts_of_symbol as (partition by tickers.symbol order by cuts.cut_on)
    union all
    select
        cuts.symbol,
        max(cuts.cut_on) as valid_from,
        null as valid_to,
        null as ended_by
    from cuts
    inner join tickers on cuts.symbol = tickers.symbol
    group by cuts.symbol
),

-- Nobody trades under a ticker between two of its companies, or after the last one.
traded as (
    select
        pieces.*,
        row_number() over (partition by pieces.symbol order by pieces.valid_from) as spell
    from pieces
    left join assets on pieces.symbol = assets.symbol
    where
        pieces.valid_from = date '0001-01-01'
        or (pieces.valid_to is null and assets.is_active)
        or exists (
            select 1 from bars
            where
                bars.symbol = pieces.symbol
                and bars.session_date >= pieces.valid_from
                and (pieces.valid_to is null or bars.session_date < pieces.valid_to)
        )
),

parents as (
    select
        traded.symbol,
        traded.spell,
        renames.old_symbol as parent_symbol,
        renames.renamed_on
    from traded
    inner join renames
        on
            traded.symbol = renames.new_symbol
            and traded.valid_from <= renames.renamed_on
            and (traded.valid_to is null or traded.valid_to > renames.renamed_on)
    inner join traded as earlier
        on renames.old_symbol = earlier.symbol and renames.renamed_on = earlier.valid_to
    qualify
        row_number() over (
            partition by traded.symbol, traded.spell
            order by renames.renamed_on desc, renames.old_symbol asc
        ) = 1
        -- A company goes on under one ticker.
        and row_number() over (partition by renames.old_symbol, renames.renamed_on order by traded.symbol) = 1
),

pairs as (
    select distinct symbol from {{ ref('raw_crypto_bars') }}
    where symbol <> ''
),

identities as (
    select
        traded.symbol,
        traded.spell,
        traded.symbol
        || case when pairs.symbol is not null then '#equity' else '' end
        || case when traded.spell > 1 then '#' || traded.spell else '' end as security_id,
        traded.valid_to
    from traded
    left join pairs on traded.symbol = pairs.symbol
    anti join parents on traded.symbol = parents.symbol and traded.spell = parents.spell
    union all
    select
        parents.symbol,
        parents.spell,
        identities.security_id,
        children.valid_to
    from identities
    inner join parents
        on identities.symbol = parents.parent_symbol and identities.valid_to = parents.renamed_on
    inner join traded as children
        on parents.symbol = children.symbol and parents.spell = children.spell
),

final as (
    select
        identities.security_id,
        traded.symbol,
        'equity' as asset_class,
        cast(traded.spell as integer) as spell,
        traded.valid_from,
        traded.valid_to,
        traded.ended_by
    from traded
    inner join identities on traded.symbol = identities.symbol and traded.spell = identities.spell
    union all
    select
        symbol as security_id,
        symbol,
        'crypto' as asset_class,
        1 as spell,
        date '0001-01-01' as valid_from,
        cast(null as date) as valid_to,
        cast(null as varchar) as ended_by
    from pairs
)

select * from final
order by asset_class, symbol, valid_from
