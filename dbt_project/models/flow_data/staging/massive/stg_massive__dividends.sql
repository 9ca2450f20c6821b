-- One row per dividend and fetch.
select
    'massive' as vendor,
    ticker as symbol,
    'dividend' as event_type,
    id as action_id,
    ex_dividend_date as ex_date,
    declaration_date,
    record_date,
    pay_date,
    cast(null as double) as old_rate,
    cast(null as double) as new_rate,
    cash_amount as rate,
    upper(currency) as currency,
    {{ envelope() }}
from {{ landed('massive', 'dividends') }}
