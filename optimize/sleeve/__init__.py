"""One offline run of a sleeve, from a published version to weights and a report."""
