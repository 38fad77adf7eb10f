"""The published package's helpers."""
