"""One proxy that says 404 to everything does not eat a job, and pages that are gone are not asked for without end."""

from __future__ import annotations

from collections import Counter

import pytest

from film_pages import FILMS, LISTS, SITE, spider
from pinpool.model import Task
from pinpool.testing import Answer, crawl

PAGES: dict[str, Answer] = {**LISTS, **dict.fromkeys(FILMS, "<h1>Up</h1>")}


@pytest.mark.parametrize("proxies", [2, 4, 8])
@pytest.mark.parametrize("honest_pages", [0, 1, 5])
def test_a_proxy_that_says_404_to_everything_takes_no_page_away(proxies: int, honest_pages: int) -> None:
    asked: Counter[int] = Counter()

    def answer(task: Task, proxy: int) -> Answer:
        asked[proxy] += 1
        return 404 if proxy == 1 and asked[proxy] > honest_pages else PAGES[task.url]

    run = crawl(spider(), answer, proxies=proxies)

    assert (run.end, run.failures) == ("complete", [])
    assert sorted(item["url"] for item in run.items) == sorted(FILMS)
    assert run.stats["run"]["tasks"]["gone"] == 0
    liar = run.stats["proxies"][0]
    assert liar["gone"] == 0
    assert liar["failed"] >= 3


def test_a_proxy_that_called_pages_gone_which_others_serve_rests_and_pays() -> None:
    run = crawl(spider(), lambda task, proxy: 404 if proxy == 1 else PAGES[task.url], proxies=4)

    liar, *others = run.stats["proxies"]
    assert liar["charged"] >= 3
    assert liar["state"] in ("cooling", "retired")
    assert [proxy["charged"] for proxy in others] == [0, 0, 0]


def test_pages_that_are_gone_are_believed_at_once_from_a_proxy_that_serves_others() -> None:
    gone = set(FILMS[::5])

    run = crawl(spider(), {**PAGES, **dict.fromkeys(gone, 404)}, proxies=4)

    times = Counter(run.requests)
    assert run.end == "complete"
    assert run.stats["run"]["tasks"]["gone"] == len(gone)
    assert sum(times[url] for url in gone) <= len(gone) + 4
    assert [proxy["charged"] for proxy in run.stats["proxies"]] == [0] * 4


def test_a_seed_that_is_gone_is_asked_for_through_other_proxies() -> None:
    run = crawl(spider(), {}, seeds=[f"{SITE}/list/0"], proxies=8)

    assert len(run.requests) == 3
    assert run.stats["run"]["tasks"]["gone"] == 1


def test_the_only_proxy_is_believed_as_there_is_no_other() -> None:
    run = crawl(spider(), {}, seeds=[f"{SITE}/list/0"], proxies=1)

    assert (len(run.requests), run.stats["run"]["tasks"]["gone"]) == (1, 1)
