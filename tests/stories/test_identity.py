"""
Whole crawls as the site sees them: who asks, with what identity, how often, and what it is never asked for.

All of it is read off the lab's own books.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import calls
from crawling import Job, job, spider, strike, until
from pinpool import PinnedPool
from pinpool.lab import Lab
from pinpool.lab.request_log import Seen

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

#: The lab's clock is read when it comes to a request, and a busy machine lets that one wait, and not the next.
EPSILON = 0.12
AGENTS = [f"Agent/{n}" for n in range(40)]
LOGIN = """

@spider.on_pin
def log_in(session):
    session.get("BASE/login").raise_for_status()
"""
#: Pages that nobody sees who has not logged in, through the same proxy.
MEMBERS = """
from pinpool import Page, Spider

spider = Spider(seeds=[f"BASE/members/{n}" for n in range(1, 31)])


@spider.index
def member(page: Page):
    return {"url": page.url, "title": page.first("//h1/text()")}
"""


@contextmanager
def lab_and_job(folder: Path, source: str, **options: Any) -> Iterator[tuple[Lab, Job]]:
    with Lab(**options) as lab, job(folder / "run", lab, source) as films:
        yield lab, films


def through(lab: Lab, proxy: int) -> list[Seen]:
    """What came through one proxy, in order."""
    return [seen for seen in lab.requests if seen.proxy == proxy]


def faults(films: Job) -> dict[str, int]:
    """All faults of all proxies, as `pinpool stats` tells them."""
    rows = json.loads(films.ask("stats", "films.db", "--json").stdout)["proxies"]
    found: dict[str, int] = {}
    for row in rows:
        for fault, times in row["faults"].items():
            found[fault] = found.get(fault, 0) + times
    return found


# --- identity


def test_a_pin_keeps_one_profile_and_one_jar_which_a_swap_drops(tmp_path: Path) -> None:
    """Proxy 0 is banned in the middle, rests for a moment and is pinned again: as somebody else."""
    profiles = [{"user-agent": agent} for agent in AGENTS]
    source = (spider() + LOGIN).replace("Spider(", f"Spider(profiles={profiles}, headers={{'User-Agent': 'all'}}, ")
    with lab_and_job(tmp_path, source, pages=12, proxies=4, latency=0.05) as (lab, films):
        start = films.crawl("-w", "4", "--swap-after", "1", "-s", "cooling=0.2")
        lab.wait_for(lambda: lab.proxies[0].requests > 3, 30)
        lab.set_fault(0, "ban")
        until(lambda: "banned" in faults(films), "a ban")
        lab.set_fault(0, None)

        assert start.wait() == 0
        films.complete()

    jars: dict[str, int] = {}
    agents = []
    for proxy in range(4):
        agent = None
        for seen in through(lab, proxy):
            if seen.path == "/login":
                assert seen.cookie == "", "a new pin brings no cookie along"
                agent = seen.agent
                agents.append(agent)
            assert seen.agent == agent
            if seen.path != "/login":
                assert seen.cookie.startswith("session=")
                assert jars.setdefault(seen.cookie, proxy) == proxy, "a cookie went to another proxy"
    assert len(agents) > 4, "nobody was swapped and pinned again"
    assert set(agents) <= set(AGENTS)
    assert len(set(agents)) > 1


def test_a_warm_pin_gets_behind_a_login_and_one_that_cannot_be_warmed_is_swapped(tmp_path: Path) -> None:
    options: dict[str, Any] = {"pages": 1, "proxies": 4, "ban_after": 0, "latency": 0.1}
    with lab_and_job(tmp_path, MEMBERS + LOGIN, **options) as (lab, films):
        lab.set_fault(0, "ban")

        start = films.crawl("-w", "3", "--swap-after", "1")

        assert start.wait() == 0
        assert sorted(json.loads(line)["url"] for line in films.written()) == sorted(
            f"{lab.named_url}/members/{n}" for n in range(1, 31)
        )
        rows = json.loads(films.ask("stats", "films.db", "--json").stdout)["proxies"]
        assert films.ask("verify", "films.db").returncode == 0

    assert {seen.path for seen in through(lab, 0)} == {"/login"}
    assert (rows[0]["state"], rows[0]["faults"]) == ("cooling", {"banned": 1})
    assert "on_pin: HTTPError: 403" in rows[0]["last_error"]


def test_functions_of_a_pool_have_profiles_pace_and_rate_as_well() -> None:
    profiles = [{"User-Agent": agent} for agent in AGENTS]
    with Lab(pages=1, proxies=3) as lab:
        urls = [lab.named_url + path for path in [*lab.films()] * 2]
        lines = [proxy.url for proxy in lab.proxies]
        with PinnedPool(lines, profiles=profiles, pace=0.4, site_rate=12) as pool:
            assert len(list(pool.map_unordered(calls.fetch, urls))) == 20
        gaps = [b.at - a.at for proxy in range(3) for a, b in pairwise(through(lab, proxy))]
        moments = [seen.at for seen in lab.requests]
        agents = [{seen.agent for seen in through(lab, proxy)} for proxy in range(3)]

    assert all(len(each) == 1 and each <= set(AGENTS) for each in agents)
    assert min(gaps) >= 0.75 * 0.4 - EPSILON
    assert max(moments) - min(moments) >= (20 - 1 - 3) / 12


# --- bans


@pytest.mark.parametrize(
    ("marks", "fault"),
    [
        ((), "empty"),
        (("-s", "ban_text=Unusual Traffic"), "banned"),
        (("-s", "ban_selector=//title[.='Access denied']"), "banned"),
    ],
)
def test_nothing_of_a_block_page_is_ever_stored(tmp_path: Path, marks: tuple[str, ...], fault: str) -> None:
    with lab_and_job(tmp_path, spider(), pages=3, proxies=5, latency=0.02) as (lab, films):
        lab.set_fault(0, "softban")
        lab.set_fault(3, "softban")

        start = films.crawl("-w", "4", *marks)

        assert start.wait() == 0
        films.complete()
        assert set(faults(films)) == {fault}
        assert {proxy.index for proxy in lab.proxies if proxy.requests} >= {0, 3}


def test_a_list_page_with_a_hollow_item_is_believed_by_three_and_its_links_are_followed(
    tmp_path: Path,
) -> None:
    source = spider().replace(
        "    yield from page.details", '    yield {"category": None}\n    yield from page.details'
    )
    with lab_and_job(tmp_path, source, pages=1, proxies=4) as (lab, films):
        start = films.crawl("-w", "2")

        assert start.wait() == 0
        films.complete()
        assert len({seen.proxy for seen in lab.requests if seen.path == "/page/1"}) >= 3


# --- pace and rate


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("victim", ["workers", "manager"])
def test_a_proxy_keeps_its_pace_from_worker_to_worker(tmp_path: Path, victim: str) -> None:
    """Also where it is warmed, and where robots.txt is asked: these are requests like any other."""
    pace = 0.4
    with lab_and_job(tmp_path, spider() + LOGIN, pages=3, proxies=4) as (lab, films):
        start = films.crawl("-w", "4", "--pace", str(pace), "-s", "robots=yes")
        for enough in (12, 24):
            until(lambda enough=enough: len(lab.requests) > enough, "requests")  # type: ignore[misc]
            for player in getattr(start.cast(), victim)[:2]:
                strike(player)

        assert start.wait(tidy=False) == 0
        films.complete()
        gaps = [b.at - a.at for proxy in range(4) for a, b in pairwise(through(lab, proxy))]

    assert sum(seen.path == "/login" for seen in lab.requests) > 4, "nobody took over a proxy"
    assert min(gaps) >= 0.75 * pace - EPSILON


def test_the_rate_holds_at_the_site_whatever_the_workers_wait_for(tmp_path: Path) -> None:
    """Six pins are warmed at once, then wait for their pace, and a third of all pages redirect."""
    rate = 15
    source = (spider() + LOGIN).replace("PAGES + 1)]", 'PAGES + 1)] + [f"BASE/redirect/1?{n}" for n in range(9)]')
    source = source.replace(
        "def films(page: Page):",
        'def films(page: Page):\n    if "redirect" in page.url:\n        yield {"title": 1}',
    )
    with lab_and_job(tmp_path, source, pages=3, proxies=6) as (lab, films):
        start = films.crawl("-w", "6", "--site-rate", str(rate), "--pace", "0.3")

        assert start.wait() == 0
        moments = sorted(seen.at for seen in lab.requests)

    # Of a page that redirects, the second request is made up for with the next turn of that worker.
    burst = 1 + 6
    for window in (0.5, 1.0, 2.0):
        most = max(sum(a <= b < a + window for b in moments) for a in moments)
        assert most <= rate * window + burst
    assert moments[-1] - moments[0] >= (len(moments) - burst) / rate


# --- robots.txt

FORBIDDEN = """
from pinpool import Page, Spider

spider = Spider(seeds=["BASE/page/1", "BASE/huge?1", "BASE/bomb", "BASE/huge?2"])


@spider.index
def films(page: Page):
    return {"url": page.url, "film": page.first('//a[@class="name"]/@href')}
"""


def test_what_robots_txt_forbids_is_not_requested_and_is_no_failure(tmp_path: Path) -> None:
    """It is asked for by each pin, before any page, and until the site can say what it allows."""
    with lab_and_job(tmp_path, FORBIDDEN, pages=1, proxies=3) as (lab, films):
        lab.set_site_fault("/robots.txt", 503, times=2)

        start = films.crawl("-w", "2", "-s", "robots=yes")

        assert start.wait() == 0
        verified = json.loads(films.ask("verify", "films.db", "--json").stdout)
        told = json.loads(films.ask("stats", "films.db", "--json").stdout)
        assert films.ask("verify", "films.db").returncode == 0

    assert verified["complete"]
    assert (verified["ended"], verified["items"], verified["failed"]) == (4, 1, 0)
    assert (told["run"]["tasks"]["done"], told["run"]["tasks"]["gone"]) == (1, 3)
    assert [row["gone"] for row in told["proxies"]] == [0, 0, 0]
    assert sum(row["ok"] for row in told["proxies"]) == 1
    assert {seen.path for seen in lab.requests} == {"/robots.txt", "/page/1"}
    for proxy in range(3):
        assert [seen.path for seen in through(lab, proxy)][:1] in ([], ["/robots.txt"])


def test_robots_txt_is_nobodys_business_unless_it_is_asked_for(tmp_path: Path) -> None:
    with lab_and_job(tmp_path, FORBIDDEN.replace('"BASE/huge?1", "BASE/bomb", ', ""), pages=1, proxies=2) as (
        lab,
        films,
    ):
        start = films.crawl("--max-failures", "1")

        assert start.wait() == 0
        assert {seen.path for seen in lab.requests} == {"/page/1", "/huge?2"}
