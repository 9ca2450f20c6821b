-- One row per tombstone of a landed file.
select
    retracted_ingest_id,
    retracted_file,
    why,
    {{ envelope() }}
from {{ landed('node', 'retraction') }}
