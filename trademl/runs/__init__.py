"""The workspace of a run: its files, ledger and lineage."""
