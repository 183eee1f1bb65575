"""Merchants, shops, staff and offers: what can be had where, when and for how much."""
