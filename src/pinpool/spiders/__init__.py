"""Spiders that come with pinpool."""
