"""Slots: which are free, and who holds them. A slot is a resource's five-minute quanta of one shop-local day."""
