-- One row per probe of a symbol's session.
select
    symbol,
    session_date,
    vendor,
    verdict,
    worst_diff_ratio,
    volume_ratio,
    {{ envelope() }}
from {{ landed('node', 'qc_probe') }}
