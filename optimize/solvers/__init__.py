"""Portfolio solvers on arrays."""
