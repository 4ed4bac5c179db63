"""Whose fault a failure was, and what follows from it. Pure: time and randomness come in as arguments."""
