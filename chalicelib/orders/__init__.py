"""What was agreed and what is owed: quotes, orders, lines, charges and decisions about refunds."""
