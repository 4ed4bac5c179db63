"""`PinnedPool`: any function through pinned proxies."""
