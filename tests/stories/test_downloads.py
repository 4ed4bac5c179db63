"""Files, as a user downloads them: through good and bad proxies, killed and gone on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Desk
from crawling import Job, job, strike, until
from file_sites import head
from peers import Line, Peer
from pinpool.lab import Lab

pytestmark = pytest.mark.processes

LISTS = 2
SPIDER = """
from pinpool import Page, Spider

spider = Spider(seeds=[f"BASE/files/{n}" for n in range(1, 3)], cooling=1)


@spider.index
def lists(page: Page):
    for href in page.all('//a[@class="file"]/@href'):
        yield page.file(href, shelf=page.url)
"""

BIG = """
from pinpool import Spider
from pinpool.tasks import file_task

spider = Spider(seeds=[file_task("http://site.test/big.pdf")])


@spider.index
def never(page):
    raise AssertionError
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    faults = ("flaky", "flaky", "reset", "refused")
    with Lab(pages=1, proxies=8, faults=faults, file_sizes=(10_000, 300_000), latency=0.02) as running:
        yield running


def items_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "films.jsonl").read_text().splitlines()]


def right(made: Job, lab: Lab, kind: str = "pdf") -> None:
    """Each file is there once, whole, and told of once."""
    wanted = {lab.library.file(number, kind) for number in range(1, 20 * LISTS + 1)}
    found = items_of(made.folder)
    files = made.folder / "films.files"
    assert sorted(item["url"] for item in found) == sorted(lab.named_url + file.path for file in wanted)
    assert {item["sha256"] for item in found} == {file.sha256 for file in wanted}
    for item in found:
        content = (files / item["path"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (item["sha256"], item["size"])
        assert item["shelf"].startswith(lab.named_url)
    assert sorted(path.name for path in files.iterdir()) == sorted(item["path"] for item in found)
    verified = made.ask("verify", "films.db")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("threads", [1, 3])
def test_files_come_through_bad_proxies_and_a_killed_parent(tmp_path: Path, lab: Lab, threads: int) -> None:
    with job(tmp_path / "job", lab, SPIDER) as made:
        made.threads = threads
        start = made.crawl()
        files = made.folder / "films.files"
        until(lambda: len(list(files.glob("*.pdf"))) >= 5, "a few files")
        start.process.kill()
        start.leaves_nobody()

        assert made.resume().wait() == 0

        right(made, lab)
        assert lab.direct == 0


def test_files_come_though_worker_after_worker_is_killed(tmp_path: Path, lab: Lab) -> None:
    with job(tmp_path / "job", lab, SPIDER) as made:
        start = made.crawl()
        files = made.folder / "films.files"
        for wanted in (3, 8, 15):
            until(lambda: len(list(files.glob("*.pdf"))) >= wanted, "more files")  # noqa: B023
            for worker in start.cast().workers[:2]:
                strike(worker)

        assert start.wait() == 0
        right(made, lab)


def test_a_full_disk_stops_the_run_and_no_proxy_pays(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))"
    with Lab(pages=1, proxies=4, file_sizes=(10_000, 2_000_000)) as lab, job(tmp_path / "job", lab, SPIDER) as made:
        start = made.crawl(under=limit)

        assert start.wait() == 1
        assert "films.files: cannot be written (File too large): look at the disk and make room" in start.said
        stats = json.loads(made.ask("stats", "films.db", "--json").stdout)
        assert all(not proxy["faults"] for proxy in stats["proxies"])

        assert made.resume().wait() == 0
        right(made, lab)


def test_a_large_file_that_comes_slowly_outlasts_deadline_and_watchdog(desk: Desk) -> None:
    body = b"%PDF-1.7" + bytes(2_000_000)

    def slow(line: Line) -> None:
        while line.head():
            line.send(head(Content_Length=len(body), Content_Type="application/pdf"))
            for at in range(0, len(body), 50_000):
                line.send(body[at : at + 50_000])
                line.peer.closing.wait(0.1)

    desk.write("films.py", BIG)
    with Peer(slow) as one, Peer(slow) as other:
        desk.write("proxies.txt", f"{one.netloc}\n{other.netloc}\n")
        said = desk.run("crawl", "films.py", "-p", "proxies.txt", "-s", "deadline=1", "-s", "grace=0.5", "-o", "-")

    assert said.code == 0, said.err
    (item,) = said.items()
    assert item["size"] == len(body)
    assert one.connections + other.connections == 1, "a large file is asked for once"
