"""Messages about orders: this slice only listens, nobody imports it."""
