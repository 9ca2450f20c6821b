"""Decoding of a vendor's answer into typed columns."""
