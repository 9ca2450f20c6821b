-- One row per split and fetch.
select
    'massive' as vendor,
    ticker as symbol,
    'split' as event_type,
    id as action_id,
    execution_date as ex_date,
    cast(null as date) as declaration_date,
    cast(null as date) as record_date,
    cast(null as date) as pay_date,
    split_from as old_rate,
    split_to as new_rate,
    cast(null as double) as rate,
    cast(null as varchar) as currency,
    {{ envelope() }}
from {{ landed('massive', 'splits') }}
