"""What operators run by hand or at a start: the demo city, and later the `linli` commands."""
