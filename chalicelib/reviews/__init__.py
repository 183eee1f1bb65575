"""Reviews of services that were had: written, checked, answered, counted."""
