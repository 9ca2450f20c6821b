"""Tidewater, which does not exist: what it costs to borrow a share."""
