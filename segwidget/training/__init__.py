"""Losses, data and the recipe of the embedded model."""
