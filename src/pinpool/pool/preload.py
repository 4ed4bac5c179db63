"""
The last module that the forkserver imports, before any worker exists: what every worker needs, then `gc.freeze()`.

What one kind of job needs is imported before it; see `child_process.warm_up`.

The worker's memory stays shared with the forkserver only as long as nobody writes to it, and the first collection
would write to every object. Frozen ones are left alone: 3.4 MB a worker instead of 9.7 (pool research, section 7).
"""

import gc
import multiprocessing.pool
import multiprocessing.sharedctypes  # noqa: F401
import os
import runpy  # noqa: F401  each child runs its parent's script by it

import parsel.csstranslator  # noqa: F401  90 ms in each worker, for the first CSS selector of its spider

import pinpool.fetch.fetcher
import pinpool.fetch.sockets
import pinpool.pool.worker

# Reading the certificate bundle costs 12 ms, so it is done here and not in each worker.
pinpool.fetch.sockets.tls_context(os.environ.get("PINPOOL_CA_BUNDLE") or None)

gc.collect()
gc.freeze()
