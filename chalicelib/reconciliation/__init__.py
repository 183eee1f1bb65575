"""Reconciliation: every movement of money in our books against the line that the provider has for it."""
