-- One row per asset and fetch.
select
    id as asset_id,
    symbol,
    name,
    exchange,
    class as asset_class,
    status,
    tradable as is_tradable,
    shortable as is_shortable,
    {{ envelope() }}
from {{ landed('alpaca', 'assets') }}
