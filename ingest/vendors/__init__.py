"""One module per vendor: what to ask, how to page, what an error looks like; no transformation."""
