"""The run, kept in one SQLite file. One process writes it, anybody may read it."""
