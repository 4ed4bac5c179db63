"""Spiders without code: a TOML file of selectors. Only `stages` and what it imports is loaded in workers."""
