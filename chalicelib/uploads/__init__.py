"""Photos that people bring: a place to put one, and what must be known of it before anything shows it."""
