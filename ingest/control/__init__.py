"""``control/node.sqlite``: queue, leases, budgets and runs; it knows neither vendors nor files."""
