-- One row per dividend and fetch.
select
    'alphavantage' as vendor,
    {{ lake_symbol('symbol') }} as symbol,
    'dividend' as event_type,
    cast(null as varchar) as action_id,
    ex_dividend_date as ex_date,
    declaration_date,
    record_date,
    payment_date as pay_date,
    cast(null as double) as old_rate,
    cast(null as double) as new_rate,
    try_cast(amount as double) as rate,
    cast(null as varchar) as currency,
    {{ envelope() }}
from {{ landed('alphavantage', 'dividends') }}
