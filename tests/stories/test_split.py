"""Two hosts without a cluster, as the manual tells it: each crawls its own part, and the outputs are put together."""

from __future__ import annotations

import re
import shlex
import sys
from collections import Counter
from importlib.resources import files

import pytest

from commands import Desk, Program
from films import films
from pinpool.lab import Lab

pytestmark = pytest.mark.processes

PAGE = (files("pinpool") / "manual" / "split.md").read_text(encoding="utf-8")
PARTS, FIRST, SECOND, MERGE, BY_URL = (block for block in re.findall(r"(?:^    .*\n)+", PAGE, re.MULTILINE))
#: A film of each list page is also on the next one, so that both hosts come upon it.
SPIDER = """
from pinpool import Page, Spider

spider = Spider(seeds=["http://not.test/"])


@spider.index
def films(page: Page):
    yield from page.details('//a[@class="name"]/@href')
    if page.url.endswith("/1"):
        yield page.task("/page/2", stage="twice")


@spider.stage("twice")
def twice(page: Page):
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page: Page):
    return {"url": page.url, "title": page.first('//h2[@class="m-b-sm"]')}
"""


def start(desk: Desk, block: str) -> Program:
    """Begin what a block of the manual tells to type."""
    lines = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    script = f'set -e\npinpool() {{ {shlex.quote(sys.executable)} -m pinpool "$@"; }}\n{lines}\n'
    program = "import os, sys; os.execvp('bash', ['bash', '-c', sys.argv[1]])"
    return desk.start_python("-c", program, script)


def test_two_hosts_crawl_a_part_each_and_the_merged_output_holds_each_film_once(desk: Desk) -> None:
    with Lab(pages=6, proxies=4) as lab:
        desk.write("movies.py", SPIDER)
        desk.write("seeds.txt", "".join(f"{lab.named_url}/page/{n}\n" for n in range(1, 7)))
        lab.write_proxies(desk / "proxies.txt")

        assert start(desk, PARTS).end().code == 0
        hosts = [start(desk, block) for block in (FIRST, SECOND)]
        ends = [host.end().code for host in hosts]
        merged = start(desk, MERGE).end()

        assert ends == [0, 0]
        assert merged.code == 0, merged.err
        assert sorted(film["url"] for film in desk.lines("films.jsonl")) == films(lab)
        assert start(desk, BY_URL).end().code == 0
        assert sorted(film["url"] for film in desk.lines("films.jsonl")) == films(lab)

        asked = Counter(seen.path for seen in lab.requests)
        both = {path for path, times in asked.items() if times > 1}
        assert len(both & {film.removeprefix(lab.named_url) for film in films(lab)}) == 10
        assert all(proxy.requests and proxy.max_users == 1 for proxy in lab.proxies)
        assert lab.direct == 0
