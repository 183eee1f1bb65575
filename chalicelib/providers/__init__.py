"""The outside world: ports in our words, and their adapters."""
