"""The ledger: an immutable double-entry journal, what it says of a merchant, and the proof of an order."""
