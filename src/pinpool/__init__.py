"""pinpool."""
