"""Planning of queue tasks: forward ingest, audits, probes."""
