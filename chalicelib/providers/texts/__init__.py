"""Checks of what people write before others may read it."""
