-- One row per index and first session of a quarter.
with quarters as (
    select min(session_date) as session_date
    from {{ ref('calendars') }}
    where exchange = 'XNYS' and close_at <= {{ as_of() }}
    group by year(session_date), quarter(session_date)
),

bars as (
    select distinct
        quarters.session_date,
        bars.symbol
    from quarters
    inner join {{ ref('equities_bars_asof') }} as bars on quarters.session_date = bars.session_date
),

first_bar as (
    select min(session_date) as session_date from {{ ref('equities_bars_asof') }}
),

final as (
    select
        members.index_name,
        quarters.session_date,
        count(*) as members,
        count(bars.symbol) as covered,
        count(bars.symbol) / count(*) as covered_fraction
    from quarters
    inner join {{ ref('index_membership') }} as members
        on
            quarters.session_date >= members.start_date
            and (members.end_date is null or quarters.session_date < members.end_date)
    left join bars on quarters.session_date = bars.session_date and members.symbol = bars.symbol
    where quarters.session_date >= (select first_bar.session_date from first_bar)
    group by members.index_name, quarters.session_date
)

select * from final
order by index_name, session_date
