"""Endpoints of the data node's own findings, landed beside the vendors' payloads."""

import pyarrow as pa

from ingest.landing.bookmarks import RETRACTION
from ingest.payloads.endpoint import DAY, NUMBER, TEXT, Endpoint, fields

_QC_PROBE = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "session_date"),
        *fields(TEXT, "vendor verdict"),
        *fields(NUMBER, "worst_diff_ratio volume_ratio"),
    ]
)

QC_PROBE = Endpoint(
    "node", "qc_probe", _QC_PROBE, ("symbol", "session_date", "vendor"), "node", "1", ("verdict",)
)

ALL = (QC_PROBE, RETRACTION)
