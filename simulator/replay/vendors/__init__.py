"""The vendors' wire formats, one module per vendor with its helpers beside it."""
