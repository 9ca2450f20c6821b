"""A seeded market in the market directory format, with planted signal and planted defects."""
