"""What a page costs in a worker: to fetch it through a proxy, to extract it, and both with all that is around them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from measuring import Reading, cpu_of

from certificates import Authority
from pinpool.crawler.page_job import PageJob
from pinpool.examples.movies import spider
from pinpool.lab import Lab
from pinpool.model import Assignment, Ending, Outcome, Task
from pinpool.pool.job import pack
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.spider.extraction import Extracted, read
from pinpool.tasks import request

LIST_PAGES = 4
CHUNKS = 10


def serve(certificate: tuple[Path, Path], line: Connection) -> None:
    """The practice site and a proxy, in a process of its own until the other end of `line` closes."""
    with Lab(pages=LIST_PAGES, proxies=1, certificate=certificate) as lab:
        line.send((lab.named_url, lab.named_tls_url, lab.proxies[0]))
        line.poll(None)


@contextmanager
def site() -> Iterator[tuple[str, str, Proxy, Settings]]:
    """The site's URLs, http and https, its proxy, and settings that trust its certificate."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        authority = Authority(Path(name))
        here, there = get_context("spawn").Pipe()
        server = get_context("spawn").Process(target=serve, args=(authority.files("movies.test"), there))
        server.start()
        there.close()
        plain, tls, lab_proxy = here.recv()
        proxy = Proxy("http", lab_proxy.host, lab_proxy.port, lab_proxy.user, lab_proxy.password)
        yield plain, tls, proxy, Settings(ca_bundle=authority.bundle)
        here.close()
        server.join()


def tasks_of(base: str) -> list[Task]:
    """All pages of the site: each list page and its ten films."""
    lists = [request(f"{base}/page/{n}", stage="index") for n in range(1, LIST_PAGES + 1)]
    return lists + [request(f"{base}/detail/{n}", stage="detail") for n in range(1, 10 * LIST_PAGES + 1)]


def page() -> dict[str, list[Reading]]:
    """CPU of this process for each page; the site and the proxy have another one."""
    with site() as (plain, tls, proxy, settings):
        pin, job = Pin(Lease(1, proxy, probing=False), settings), PageJob(spider, settings)
        until = time.monotonic() + 600
        fetched = [(task, pin.fetcher.fetch(task, until)) for task in tasks_of(plain)]

        def fetch(base: str) -> Callable[[], int]:
            tasks = tasks_of(base)

            def chunk() -> int:
                for task in tasks:
                    pin.fetcher.fetch(task, until)
                return len(tasks)

            return chunk

        def extract() -> int:
            for task, answer in fetched:
                found = read(spider, task, answer, settings, tunnelled=False)
                assert isinstance(found, Extracted) and not found.empty
            return len(fetched)

        def whole() -> int:
            for task, _ in fetched:
                result = job.perform(pin, Assignment(task))
                assert result is not None and result.ending is Ending.OK
                pack(Outcome(1, 1, 1, at=0.0, seconds=0.0, **result._asdict()))
            return len(fetched)

        chunks = {
            "fetch, http": fetch(plain),
            "fetch, https": fetch(tls),
            "extraction": extract,
            "page in a worker, http": whole,
        }
        readings = {name: cpu_of(chunk, CHUNKS) for name, chunk in chunks.items()}
        pin.fetcher.close()
    return readings
