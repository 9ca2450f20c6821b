-- One row per split and fetch.
select
    'fmp' as vendor,
    {{ lake_symbol('symbol') }} as symbol,
    'split' as event_type,
    cast(null as varchar) as action_id,
    date as ex_date,
    cast(null as date) as declaration_date,
    cast(null as date) as record_date,
    cast(null as date) as pay_date,
    denominator as old_rate,
    numerator as new_rate,
    cast(null as double) as rate,
    cast(null as varchar) as currency,
    {{ envelope() }}
from {{ landed('fmp', 'splits') }}
