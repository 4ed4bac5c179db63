"""A stage that yields nothing stops, whoever is not to blame for it is not, and nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest

from pinpool import Page, Spider
from pinpool.model import Task
from pinpool.testing import Answer, Crawled, crawl

SITE = "http://films.test"
FILMS = 60
LISTS = {
    f"{SITE}/list/{n}": "".join(f'<a href="/film/{film}">' for film in range(10 * n, 10 * n + 10))
    for n in range(FILMS // 10)
}
PAGES: dict[str, Answer] = {**LISTS, **{f"{SITE}/film/{n}": "<h1>Up</h1>" for n in range(FILMS)}}


def spider(selector: str, *, raises: bool = False) -> Spider:
    """A spider whose films have what `selector` finds in them."""
    made = Spider(seeds=list(LISTS), name="films")

    @made.index
    def lists(page: Page) -> object:
        yield from page.details("//a/@href")

    @made.detail
    def film(page: Page) -> object:
        title = page.first(selector)
        return {"url": page.url, "title": title.strip() if raises else title}  # type: ignore[union-attr]

    return made


def pages_asked(run: Crawled) -> int:
    return len({url for url in run.requests if "/film/" in url})


def test_a_selector_that_matches_nothing_stops_its_stage_and_the_run_soon_ends() -> None:
    run = crawl(spider("h2"), PAGES, proxies=8)

    assert run.end == "stopped"
    assert pages_asked(run) < 25
    assert len(run.requests) < 40  # of 430 without a stop
    assert run.stats["run"]["tasks"]["done"] == len(LISTS)
    assert run.stats["run"]["tasks"]["waiting"] > 30


def test_a_stage_that_raises_on_every_page_stops_too() -> None:
    run = crawl(spider("h2", raises=True), PAGES, proxies=8)

    assert run.end == "stopped"
    assert pages_asked(run) < 25


def test_no_proxy_pays_for_a_spider_that_finds_nothing() -> None:
    run = crawl(spider("h2"), PAGES, proxies=8)

    assert [proxy["charged"] for proxy in run.stats["proxies"]] == [0] * 8


def test_proxies_that_show_block_pages_first_do_not_stop_a_stage() -> None:
    asked: Counter[int] = Counter()

    def answer(task: Task, proxy: int) -> Answer:
        asked[proxy] += 1
        shows_film = "/film/" in task.url and proxy > 3
        return PAGES[task.url] if "/list/" in task.url or shows_film else "<h2>Who are you?</h2>"

    run = crawl(spider("h1"), answer, proxies=4)

    assert min(asked[proxy] for proxy in (1, 2, 3)) > 0
    assert run.end == "complete"
    assert len(run.items) == FILMS


def test_a_stage_with_fewer_than_ten_pages_stops_at_their_end() -> None:
    run = crawl(spider("h2"), {**PAGES, f"{SITE}/list/0": '<a href="/film/0">'}, seeds=[f"{SITE}/list/0"])

    assert run.end == "stopped"
    assert [failure["url"] for failure in run.failures] == [f"{SITE}/film/0"]


def test_a_seed_page_whose_selector_finds_nothing_is_no_success() -> None:
    run = crawl(spider("h1"), {f"{SITE}/list/0": "<p>Log in</p>"}, seeds=[f"{SITE}/list/0"])

    assert run.end == "stopped"
    assert run.items == []


def test_pages_that_may_be_empty_or_may_fail_stop_no_stage() -> None:
    fine = crawl(spider("h2"), PAGES, empty_ok=True)
    tolerated = crawl(spider("h2"), PAGES, max_failures=FILMS)

    assert (fine.end, fine.stats["run"]["tasks"]["done"]) == ("complete", FILMS + len(LISTS))
    assert (tolerated.end, tolerated.stats["run"]["tasks"]["failed"]) == ("complete", FILMS)


def test_a_limit_that_was_reached_has_its_own_word() -> None:
    run = crawl(spider("h1"), PAGES, limit=3)

    assert run.end == "limited"
    assert run.stats["run"]["tasks"]["waiting"] > 0


def test_an_extractor_that_raises_is_tried_on_two_proxies_and_the_error_is_shown() -> None:
    odd = [f"{SITE}/film/{n}" for n in (3, 17, 31)]

    run = crawl(spider("h1", raises=True), {**PAGES, **dict.fromkeys(odd, "<h3>Up</h3>")}, proxies=8)

    times = Counter(run.requests)
    assert run.end == "complete"
    assert [times[url] for url in odd] == [2, 2, 2]
    assert [failure["url"] for failure in run.failures] == odd
    assert "extract on 2 proxies: AttributeError: " in run.failures[0]["reason"]
    assert "(test_stage_guard.py:" in run.failures[0]["reason"]


def test_pages_that_bad_proxies_ended_before_a_stage_yielded_anything_are_asked_for_again() -> None:
    first = f"{SITE}/film/0"

    came: list[str] = []
    lists = {
        f"{SITE}/list/0": '<a href="/film/0"><a href="/next">',
        first: "<h1>Up</h1>",
        f"{SITE}/next": "<h1>Her</h1>",
    }

    def pages(task: Task, proxy: int) -> Answer:
        if task.url == f"{SITE}/next":
            came.append(task.url)
            return lists[task.url] if len(came) > 6 else 503
        return lists[task.url] if len(came) > 6 or "/list/" in task.url else "<p>Who are you?</p>"

    run = crawl(spider("h1", raises=True), pages, seeds=[f"{SITE}/list/0"], attempts=9)

    assert run.end == "complete"
    assert sorted(item["url"] for item in run.items) == [first, f"{SITE}/next"]


@pytest.mark.parametrize("proxies", [1, 2, 4, 20])
@pytest.mark.parametrize("seeds", [1, 3, 20])
def test_a_login_page_to_everybody_ends_the_run_soon(proxies: int, seeds: int) -> None:
    run = crawl(
        spider("h1"),
        lambda task, proxy: "<p>Log in</p>",
        seeds=[f"{SITE}/list/{n}" for n in range(seeds)],
        proxies=proxies,
    )

    assert run.end == "stopped"
    assert run.stats["run"]["seconds"] < 60
    assert len(run.requests) <= 60
