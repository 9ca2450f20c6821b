-- One row per probe of a symbol's session: what a second vendor says of its bar.
select
    symbol,
    session_date,
    vendor,
    verdict,
    worst_diff_ratio,
    volume_ratio,
    {{ envelope() }}
from {{ landed('node', 'qc_probe') }}
