"""Vendor capabilities, and the order in which vendors are asked."""
