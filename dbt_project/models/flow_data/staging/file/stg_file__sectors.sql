-- One row per symbol and fetch; the file has no history.
select
    symbol,
    name,
    exchange,
    asset_type,
    sector,
    industry,
    {{ envelope() }}
from {{ landed('file', 'sectors') }}
