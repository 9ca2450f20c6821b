-- One row per listing, field and fetch of what the screener calls a kind of security. Append-only.
select
    exchange,
    symbol,
    market,
    field as screener_field,
    case when field = 'type' then text_value else value end as listing_type,
    {{ envelope() }}
from {{ ref('stg_tradingview__scan') }}
where field in ('type', 'typespecs') and {{ only_new_files('tradingview', 'scan') }}
qualify row_number() over (partition by exchange, symbol, field, ingest_id order by value) = 1
order by symbol, exchange, screener_field, ingest_id
