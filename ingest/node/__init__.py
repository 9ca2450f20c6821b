"""The always-on data node."""
