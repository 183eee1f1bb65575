"""What a person keeps with us: addresses, sealed, and favourite shops."""
