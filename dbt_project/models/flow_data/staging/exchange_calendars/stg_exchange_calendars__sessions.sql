-- One row per exchange, session and fetch.
select
    exchange,
    session_date,
    open_at,
    close_at,
    is_early_close,
    {{ envelope() }}
from {{ landed('exchange_calendars', 'sessions') }}
