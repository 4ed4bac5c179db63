"""How many workers a list of proxies can feed."""
