-- One row per membership spell and fetch.
select
    index_name,
    symbol,
    start_date,
    end_date,
    {{ envelope() }}
from {{ landed('file', 'index_membership') }}
