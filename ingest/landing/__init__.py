"""Landing: pages of a vendor's answer become one append-only file."""
