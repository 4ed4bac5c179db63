"""Which proxies of a list work."""
