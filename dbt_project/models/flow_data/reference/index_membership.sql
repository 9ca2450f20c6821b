-- One row per index and membership spell, as known at as_of.
select
    index_name,
    symbol,
    start_date,
    case when end_date <= cast({{ as_of() }} as date) then end_date end as end_date,
    cast(start_date as timestamp) at time zone 'UTC' as known_at,
    ingested_at
from {{ ref('raw_index_membership') }}
where
    start_date <= cast({{ as_of() }} as date)
    and index_name is not null
    and symbol is not null
    and {{ is_landed(ref('raw_index_membership')) }}
qualify
    row_number() over (
        partition by index_name, symbol, start_date
        order by ingested_at desc, ingest_id desc, end_date desc nulls first
    ) = 1
order by index_name, symbol, start_date
