"""A vendor's answer as typed columns."""
