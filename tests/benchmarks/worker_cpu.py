"""
The CPU that a page costs in a worker, part by part, beside a bare loop of urllib3 and lxml without any engine.

    python tests/benchmarks/worker_cpu.py [ROUNDS]

A list page and its ten films come again and again from a proxy of its own process, over one connection. Only this
process's CPU is counted (user and system); the parts take turns, and each shows its best and its middle round. Run it
in turns with another checkout (PYTHONPATH) to compare two, and quote ratios of one run: no test asserts them.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing import Process
from statistics import median
from typing import Any
from urllib.parse import urljoin

import urllib3
from lxml import etree

from pinpool import Page, Spider
from pinpool.crawler.page_job import PageJob
from pinpool.model import Assignment, Ending, Outcome, Task
from pinpool.pool.job import pack
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.spider.extraction import read
from pinpool.tasks import request

SITE = "http://site.test"
LINKS: Any = etree.XPath('//a[@class="name"]/@href')
DIRECTORS: Any = etree.XPath('//div[@class="directors el-row"]//p/text()')
HEAD = (
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Thu, 26 Nov 2026 20:00:00 GMT\r\nContent-Type: text/html\r\n"
    "Content-Length: {}\r\nLast-Modified: Thu, 26 Nov 2026 19:00:00 GMT\r\nConnection: keep-alive\r\n"
    'ETag: "65e0-b1c9"\r\nAccept-Ranges: bytes\r\n\r\n'
)
spider = Spider(seeds=[f"{SITE}/list"])


@spider.index
def films(page: Page) -> object:
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page: Page) -> object:
    return {"url": page.url, "directors": page.all('//div[@class="directors el-row"]//p/text()')}


def pages() -> dict[str, bytes]:
    """A list page of 26 kB and ten films of 40 kB, by their paths."""
    rnd = random.Random(20)
    words = ["lorem", "ipsum", "dolor", "sit", "amet", "adipiscing", "elit", "eiusmod", "tempor", "侯孝賢", "Žofia"]

    def text(count: int) -> str:
        return " ".join(rnd.choices(words, k=count))

    def framed(title: str, inside: str) -> bytes:
        metas = "".join(f'<meta name="{word}" content="{text(8)}">' for word in words)
        state = json.dumps({f"k{number}": text(6) for number in range(60)})
        items = "".join(f'<li class="el-menu-item"><a href="/{n}/x"><span>{text(2)}</span></a></li>' for n in range(40))
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>{metas}'
            f'<script>window.__STATE__={state}</script></head>\n<body><div id="app"><ul class="menu">{items}</ul>'
            f'{inside}<div class="footer">{"<p>about us</p>" * 10}</div></div></body></html>'
        ).encode()

    cards = "".join(
        f'<div class="el-card"><a href="/detail/{n}.html" class="name"><h2>Film {n}</h2></a><div class="info">'
        f'<span>{text(3)}</span></div><div class="drama">{text(150)}</div></div>\n'
        for n in range(10)
    )
    found = {"/list": framed("Films", cards)}
    for n in range(10):
        comments = "".join(
            f'<div class="comment el-row"><div class="avatar"><img src="/a/{k}.png"></div><div class="body">'
            f'<span class="author">{text(1)}</span> <time>2021-01-1{k % 9}</time><blockquote>{text(40)}</blockquote>'
            "</div></div>\n"
            for k in range(70)
        )
        directors = f'<div class="directors el-row"><div><p class="name">{text(2)}</p></div></div>'
        found[f"/detail/{n}.html"] = framed(f"Film {n}", directors + comments)
    return found


def serve(listener: socket.socket, site: dict[str, bytes]) -> None:
    """Answer each connection in turn, until it ends."""
    answers = {path: HEAD.format(len(body)).encode() + body for path, body in site.items()}
    while True:
        line, _ = listener.accept()
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while asked := line.recv(65_536):
            line.sendall(answers[asked.split(b" ", 2)[1].decode().removeprefix(SITE)])


def main(rounds: int) -> None:
    site = pages()
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy("http", "127.0.0.1", listener.getsockname()[1])
    server = Process(target=serve, args=(listener, site), daemon=True)
    server.start()
    settings = Settings()
    job = PageJob(spider, settings)
    tasks = [request(f"{SITE}/list", stage="index")]
    tasks += [request(f"{SITE}/detail/{n}.html", stage="detail") for n in range(10)]
    bare = urllib3.ProxyManager(f"http://{proxy.host}:{proxy.port}", maxsize=1, retries=False, timeout=15)
    accept = {"Accept-Encoding": "gzip, deflate"}

    def bare_fetch(task: Task) -> bytes:
        return bare.request("GET", task.url, headers=accept).data

    def bare_read(body: bytes, task: Task) -> str:
        tree = etree.HTML(body)
        if task.stage == "index":
            return str([urljoin(task.url, href) for href in LINKS(tree)])
        return json.dumps({"url": task.url, "directors": [str(found) for found in DIRECTORS(tree)]}, ensure_ascii=False)

    def perform(pin: Pin, task: Task) -> None:
        result = job.perform(pin, Assignment(task))
        assert result is not None and result.ending is Ending.OK
        pack(
            Outcome(
                1, 1, 1, result.ending, 0.0, 0.0, result.status, result.size, items=result.items, tasks=result.tasks
            )
        )

    with bare:
        pin = Pin(Lease(1, proxy, probing=False), settings)
        fetched = {task.url: pin.fetcher.fetch(task, time.monotonic() + 60) for task in tasks}
        pin.fetcher.close()
        parts: dict[str, Callable[[Task], object]] = {
            "bare: fetch": bare_fetch,
            "bare: read": lambda task: bare_read(fetched[task.url].body, task),
            "worker: fetch": lambda task: pin.fetcher.fetch(task, time.monotonic() + 60),
            "worker: read": lambda task: read(spider, task, fetched[task.url], settings, tunnelled=False),
            "worker: whole": lambda task: perform(pin, task),
        }
        costs: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(rounds):
            for name, part in parts.items():
                # One connection at a time: the server serves no other meanwhile.
                bare.clear()
                pin.fetcher.close()
                for task in tasks:
                    part(task)
                began = time.process_time()
                for _ in range(10):
                    for task in tasks:
                        part(task)
                costs[name].append((time.process_time() - began) / (10 * len(tasks)) * 1e6)
    server.terminate()
    print("µs a page           best  middle")
    for name, found in costs.items():
        print(f"{name:18}{min(found):6.0f}{median(found):8.0f}")
    floor = median(costs["bare: fetch"]) + median(costs["bare: read"])
    print(f"a whole page costs {median(costs['worker: whole']) / floor:.2f} times the bare loop's")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
