-- One row per announced earnings date and fetch.
select
    symbol,
    earnings_date,
    announced_at,
    {{ envelope() }}
from {{ landed('file', 'earnings_dates') }}
