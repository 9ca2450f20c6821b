-- One row per dividend and fetch.
select
    'fmp' as vendor,
    {{ lake_symbol('symbol') }} as symbol,
    'dividend' as event_type,
    cast(null as varchar) as action_id,
    date as ex_date,
    declarationdate as declaration_date,
    recorddate as record_date,
    paymentdate as pay_date,
    cast(null as double) as old_rate,
    cast(null as double) as new_rate,
    dividend as rate,
    cast(null as varchar) as currency,
    {{ envelope() }}
from {{ landed('fmp', 'dividends') }}
