-- One row per security and session, from data up to the session's close.
{{ config(materialized='view') }}
with rows_of_matrix as (
    select
        security_id,
        symbol,
        'equity' as asset_class,
        session_date,
        is_eligible,
        known_at
    from {{ ref('universe') }}
    union all
    select
        security_id,
        symbol,
        'crypto' as asset_class,
        session_date,
        true as is_eligible,
        known_at
    from {{ ref('crypto_ohlcv') }}
    where reject_reason is null
),

xs as (
    select
        *,
        'equity' as asset_class
    from {{ ref('feat_equities_xs') }}
)

select
    matrix.security_id,
    matrix.symbol,
    symbols.exchange,
    matrix.asset_class,
    matrix.session_date,
    cast(matrix.session_date as timestamp) at time zone 'UTC' as timestamp,
    symbols.sector,
    matrix.is_eligible,
    xs.* exclude (security_id, symbol, asset_class, session_date, known_at), -- noqa: RF02
    selection.* exclude (security_id, symbol, asset_class, session_date, known_at), -- noqa: RF02
    matrix.known_at
from rows_of_matrix as matrix
left join {{ ref('symbols') }} as symbols
    on {{ symbol_as_of('matrix', 'session_date', keys=['security_id', 'symbol']) }}
left join xs
    on
        matrix.security_id = xs.security_id
        and matrix.session_date = xs.session_date
        and matrix.asset_class = xs.asset_class
left join {{ ref('feat_selection') }} as selection
    on
        matrix.security_id = selection.security_id
        and matrix.session_date = selection.session_date
        and matrix.asset_class = selection.asset_class
