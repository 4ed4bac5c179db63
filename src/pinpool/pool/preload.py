"""
The last module that the forkserver imports, before any worker exists: what every worker needs, then `gc.freeze()`.

What one kind of job needs is imported before it; see `child_process.warm_up`.

A worker shares memory with the forkserver until one of them writes to it, and the first garbage collection writes to
every object that is not frozen. Freezing makes a worker 3.4 MB instead of 9.7 (pool research, section 7). A module
that a worker has to import by itself costs it up to a megabyte and 10 ms.
"""

import gc
import multiprocessing.pool
import multiprocessing.popen_forkserver
import multiprocessing.popen_spawn_posix
import multiprocessing.queues
import multiprocessing.sharedctypes
import multiprocessing.synchronize  # noqa: F401
import os
import runpy  # noqa: F401  each child runs its parent's script with it

import ada_url  # noqa: F401
import parsel.csstranslator  # noqa: F401  90 ms in each worker, for the first CSS selector of its spider

import pinpool.fetch.fetcher
import pinpool.fetch.sockets
import pinpool.pool.generation
import pinpool.pool.lease_process
import pinpool.pool.shared_process
import pinpool.pool.worker

# Reading the certificate bundle costs 12 ms: done once here, not in each worker.
pinpool.fetch.sockets.tls_context(os.environ.get("PINPOOL_CA_BUNDLE") or None)

gc.collect()
gc.freeze()
