-- One row per symbol, column and timeframe of a landed scan.
select
    split_part(symbol, ':', 1) as exchange,
    split_part(symbol, ':', 2) as symbol,
    market,
    field,
    timeframe,
    value,
    try_cast(value as double) as numeric_value,
    case when json_type(value) = 'VARCHAR' then value ->> '$' end as text_value,
    update_mode,
    {{ envelope() }}
from {{ landed('tradingview', 'scan') }}
