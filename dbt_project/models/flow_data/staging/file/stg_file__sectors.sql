-- One row per symbol and fetch.
select
    symbol,
    name,
    exchange,
    asset_type,
    sector,
    industry,
    {{ envelope() }}
from {{ landed('file', 'sectors') }}
