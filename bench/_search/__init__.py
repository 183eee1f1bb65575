"""What `bench.search` is made of: a city, the questions, the brute force, and those who answer."""
