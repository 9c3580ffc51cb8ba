"""Whether masks and people's work can be trusted: gold, calibration, the quality report."""
