"""What `linli` can do, a file for each topic; `house` is what they share."""
