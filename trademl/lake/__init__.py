"""The lake: published versions, builds, and the snapshot a run is locked to."""
