"""What runs wrong without making an error: gauges of the business, read every five minutes."""
