"""The simulated annotator and the measures of what it is given."""
