"""Payment attempts, provider refunds and facts that cannot be applied yet. What is owed belongs to `orders`."""
