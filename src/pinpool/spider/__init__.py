"""What a user declares, and what a page yields."""
