"""Vendor payload to raw Parquet: the only package that may open a socket."""
