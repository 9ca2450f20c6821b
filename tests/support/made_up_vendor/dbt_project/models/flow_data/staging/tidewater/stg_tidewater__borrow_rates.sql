-- One row per share and day of asking: what it costs to borrow it.
select
    replace(symbol, '-', '.') as symbol,
    "asof" as as_of_date,
    fee_pct as borrow_fee_pct,
    {{ envelope() }}
from {{ landed('tidewater', 'borrow_rates') }}
