"""Items, written to files."""
