-- One row per bar that broke a rule or that deserves a look.
select
    security_id,
    symbol,
    'equity' as asset_class,
    session_date,
    coalesce(reject_reason, flag) as reason,
    case when reject_reason is null then 'flagged' else 'rejected' end as verdict,
    open,
    high,
    low,
    close,
    volume,
    source_name,
    known_at,
    ingest_id
from {{ ref('equities_bars_asof') }}
where reject_reason is not null or flag is not null
union all
select
    security_id,
    symbol,
    'crypto' as asset_class,
    session_date,
    reject_reason as reason,
    'rejected' as verdict,
    open,
    high,
    low,
    close,
    volume,
    source_name,
    known_at,
    cast(null as varchar) as ingest_id
from {{ ref('crypto_ohlcv') }}
where reject_reason is not null
order by asset_class, security_id, session_date
