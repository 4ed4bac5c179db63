"""What a page costs in a worker: to fetch it through a proxy, to extract it, and both with all that is around them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urljoin

from lxml import etree
from measuring import Reading, cpu_of
from urllib3 import ProxyManager
from urllib3.util import make_headers

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
WHOLE = "page in a worker, http"
LINKS: Any = etree.XPath('//a[@class="name"]/@href')
DIRECTORS: Any = etree.XPath('//div[@class="directors el-row"]//p/text()')


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
    """
    CPU of this process for each page; the site and the proxy have another one. Its note compares the whole with a bare
    loop of urllib3 and lxml, which reads less of a page and judges nothing.
    """
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

        def bare() -> int:
            for task, _ in fetched:
                tree = etree.HTML(web.request("GET", task.url).data)
                json.dumps([urljoin(task.url, href) for href in LINKS(tree)] or [str(name) for name in DIRECTORS(tree)])
            return len(fetched)

        login = make_headers(proxy_basic_auth=f"{proxy.username}:{proxy.password}")
        web = ProxyManager(
            f"http://{proxy.host}:{proxy.port}", proxy_headers=login, headers=make_headers(accept_encoding=True)
        )
        chunks = {
            "fetch, http": fetch(plain),
            "fetch, https": fetch(tls),
            "extraction": extract,
            WHOLE: whole,
        }
        readings = {name: cpu_of(chunk, CHUNKS) for name, chunk in chunks.items()}
        floor = median(reading.cost / reading.yardstick for reading in cpu_of(bare, CHUNKS))
        web.clear()
        pin.fetcher.close()
    readings[WHOLE] = [one._replace(note=f"{one.cost / one.yardstick / floor:.2f} x bare") for one in readings[WHOLE]]
    return readings
