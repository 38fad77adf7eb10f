"""Opening images."""
