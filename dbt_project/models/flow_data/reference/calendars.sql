-- One row per exchange and session.
with sessions as (
    select
        exchange,
        session_date,
        open_at,
        close_at,
        is_early_close
    from {{ ref('raw_sessions') }}
    qualify row_number() over (
        partition by exchange, session_date
        order by ingested_at desc, ingest_id desc
    ) = 1
),

first_crypto_day as (
    select min(bars.session_date) as session_date from {{ ref('raw_crypto_bars') }} as bars
    where {{ implausible_date('bars', 'crypto') }} is null
),

crypto_days as (
    select unnest(generate_series(session_date, cast({{ as_of() }} as date), interval 1 day)) as opened_on
    from first_crypto_day
),

crypto_sessions as (
    select
        'UTC_24X7' as exchange,
        cast(opened_on as date) as session_date,
        cast(opened_on as timestamp) at time zone 'UTC' as open_at,
        cast(opened_on + interval 1 day as timestamp) at time zone 'UTC' as close_at,
        false as is_early_close
    from crypto_days
),

united as (
    select * from sessions
    union all by name
    select * from crypto_sessions
),

final as (
    select
        exchange,
        session_date,
        open_at,
        close_at,
        is_early_close,
        cast(row_number() over (partition by exchange order by session_date) as integer) as session_number,
        cast(null as timestamptz) as known_at
    from united
)

select * from final
order by exchange, session_date
