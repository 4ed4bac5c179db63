"""`PinnedPool`: any function through pinned proxies."""

#: What a forkserver imports for the workers of a `PinnedPool`.
PRELOAD = ("pinpool.calls.call_job",)
