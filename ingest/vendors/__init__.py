"""Vendors, one folder each: requests, paging, refusals; no transformation."""
