"""What to queue: forward ingest, audits, probes."""
