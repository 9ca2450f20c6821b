-- One row per bar that the next session's known return does not follow: before a pause, an unknown return, or the end.
with bars as (
    select
        bars.security_id,
        bars.session_date,
        calendars.session_number,
        bars.close,
        bars.close_total_return as price,
        bars.split_ratio * (bars.close + bars.dividend_usd) as value_of_share,
        bars.ret,
        -- What the data say wrong is not a loss; a move that is only too large is one.
        bars.ret is null
        and bars.flag in ('LONG_GAP', 'RATIO_AMBIGUOUS', 'RATIO_CONTRADICTS_PRICE', 'SPLIT_SUSPECTED') as is_fault,
        coalesce(bars.flag = 'LONG_GAP', false) as is_after_long_gap,
        bars.known_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    inner join {{ ref('calendars') }} as calendars
        on calendars.exchange = 'XNYS' and bars.session_date = calendars.session_date
),

sessions as (
    select
        session_date,
        close_at + to_minutes(cast({{ threshold('publication_lag_equities') }} as integer)) as published_at
    from {{ ref('calendars') }}
    where exchange = 'XNYS'
),

moves as (
    select
        security_id,
        session_date as last_date,
        session_number as last_number,
        close as last_close,
        price as last_price,
        lead(session_date) over path as next_date,
        lead(session_number) over path as next_number,
        lead(price) over path as next_price,
        lead(known_at) over path as next_known_at,
        coalesce(lead(is_fault) over path, false) as is_fault,
        coalesce(lead(is_after_long_gap) over path, false) as is_long_gap,
        case when lead(ret) over path is null then lead(value_of_share) over path / close end as growth
    from bars
    window path as (partition by security_id order by session_date)
),

-- Over a move that is too large to be a return the level of total returns stands still, here it does not.
leveled as (
    select
        *,
        coalesce(
            list_product(list(growth) filter (where growth is not null and not is_fault) over until_here), 1
        ) as level,
        coalesce(
            list_product(list(growth) filter (where growth is not null and not is_fault) over before_here), 1
        ) as level_before,
        cast(count(*) filter (where is_fault) over until_here as integer) as faults,
        cast(count(*) filter (where is_fault) over before_here as integer) as faults_before
    from moves
    where next_number is null or next_number > last_number + 1 or growth is not null
    window
        until_here as (partition by security_id order by last_date rows unbounded preceding),
        before_here as (partition by security_id order by last_date rows between unbounded preceding and 1 preceding)
),

-- The first session on which a price would come too late.
limited as (
    select
        leveled.*,
        sessions.session_date as limit_date,
        sessions.published_at as limit_known_at
    from leveled
    asof left join sessions
        on leveled.last_date + cast({{ threshold('identity_gap_days') }} as integer) + 1 <= sessions.session_date
),

judged as (
    select
        limited.*,
        delistings.terminal_reason,
        delistings.terminal_value_usd,
        delistings.terminal_date,
        delistings.terminal_known_at,
        case
            when limited.next_date is not null and not limited.is_long_gap
                then case when not limited.is_fault then 'next_price' end
            when limited.next_date is null and coalesce(delistings.terminal_known_at <= coalesce(limited.limit_known_at, 'infinity'), false)
                then delistings.terminal_reason
            when limited.next_date is null and delistings.known_at <= limited.limit_known_at then 'unknown_removal'
            when limited.limit_date is not null then 'long_halt'
        end as exit_reason
    from limited
    left join {{ ref('delistings') }} as delistings on limited.security_id = delistings.security_id
),

final as (
    select
        security_id,
        last_date,
        last_number,
        next_date,
        next_number,
        level,
        faults,
        faults_before,
        exit_reason,
        case
            when exit_reason = 'next_price' then next_date
            when exit_reason in ('unknown_removal', 'long_halt') then limit_date
            when exit_reason is not null then terminal_date
        end as exit_date,
        case
            when exit_reason = 'next_price' then next_price * level
            when exit_reason in ('worthless', 'cash_merger') then last_price * level_before * (terminal_value_usd / last_close)
            when exit_reason is not null then last_price * level_before
        end as exit_price,
        case
            when exit_reason = 'next_price' then next_known_at
            when exit_reason in ('unknown_removal', 'long_halt') then limit_known_at
            when exit_reason is not null then terminal_known_at
        end as known_at
    from judged
)

select * from final
order by security_id, last_date
