-- One row per split and fetch.
select
    'alphavantage' as vendor,
    {{ lake_symbol('symbol') }} as symbol,
    'split' as event_type,
    cast(null as varchar) as action_id,
    effective_date as ex_date,
    cast(null as date) as declaration_date,
    cast(null as date) as record_date,
    cast(null as date) as pay_date,
    cast(1 as double) as old_rate,
    try_cast(split_factor as double) as new_rate,
    cast(null as double) as rate,
    cast(null as varchar) as currency,
    {{ envelope() }}
from {{ landed('alphavantage', 'splits') }}
