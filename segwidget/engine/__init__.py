"""The data engine: its stages over a project, and bulk runs."""
