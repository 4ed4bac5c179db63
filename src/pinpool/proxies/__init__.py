"""The list of proxies: how it is read and watched, and the life of each entry."""
