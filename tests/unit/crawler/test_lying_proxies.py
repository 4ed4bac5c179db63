"""Proxies that show one page for many URLs are found out, and whoever shows what the site shows pays nothing for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from film_pages import FILMS, LISTS, SITE, spider
from journals import START, answered, done, new_journal, task
from pinpool.crawler.scheduler import Entry
from pinpool.crawler.second_looks import SecondLooks
from pinpool.model import Task
from pinpool.pool.settle import Settler
from pinpool.testing import Answer, Crawled, FakeClock, crawl

PAGES: dict[str, Answer] = {**LISTS, **{film: f"<h1>{film}</h1>" for film in FILMS}}
ALL = len(PAGES)

Site = Callable[[Task, int], Answer]


def cached(task: Task) -> Answer:
    """One film for all films, and one list for all lists."""
    return PAGES[f"{SITE}/list/0" if "list" in task.url else FILMS[0]]


def has_all_films(run: Crawled) -> None:
    assert (run.end, run.failures) == ("complete", [])
    found = sorted((item["url"], item["title"]) for item in run.items)
    assert found == sorted((film, film) for film in FILMS)


def charged(run: Crawled) -> list[int]:
    return [proxy["charged"] for proxy in run.stats["proxies"]]


@pytest.mark.parametrize("proxies", [2, 4, 8])
@pytest.mark.parametrize("honest_pages", [0, 1, 6])
def test_a_proxy_that_hands_out_one_page_spoils_none(proxies: int, honest_pages: int) -> None:
    asked: Counter[int] = Counter()

    def answer(task: Task, proxy: int) -> Answer:
        asked[proxy] += 1
        return cached(task) if proxy == 1 and asked[proxy] > honest_pages else PAGES[task.url]

    run = crawl(spider(), answer, proxies=proxies)

    has_all_films(run)
    liar, *others = charged(run)
    assert liar >= 3
    assert others == [0] * (proxies - 1)
    if proxies == 4 and honest_pages < 6:  # while there is more to do; at the end nobody swaps it any more
        assert run.stats["proxies"][0]["state"] in ("cooling", "retired")


def test_its_lists_are_asked_for_once_more_too() -> None:
    def answer(task: Task, proxy: int) -> Answer:
        return cached(task) if proxy == 1 and "list" in task.url else PAGES[task.url]

    run = crawl(spider(), answer, proxies=2)

    has_all_films(run)


def test_a_quick_liar_that_gave_most_pages_before_it_was_found_out_is_found_out_at_the_end() -> None:
    """The honest proxy is so slow that it has served few pages when nothing else is left."""
    turns = Counter[int]()

    def answer(task: Task, proxy: int) -> Answer:
        turns[proxy] += 1
        return cached(task) if proxy == 1 and "film" in task.url else PAGES[task.url]

    run = crawl(spider(), answer, proxies=2, workers=2, pace=0.0)

    has_all_films(run)


def test_several_liars_with_pages_of_their_own_do_not_confirm_each_other() -> None:
    def answer(task: Task, proxy: int) -> Answer:
        return f"<h1>proxy {proxy}</h1>" if proxy <= 3 and "film" in task.url else PAGES[task.url]

    run = crawl(spider(), answer, proxies=6)

    has_all_films(run)
    assert charged(run)[3:] == [0, 0, 0]


def test_several_liars_with_the_same_page_do_not_confirm_each_other() -> None:
    def answer(task: Task, proxy: int) -> Answer:
        return cached(task) if proxy <= 3 and "film" in task.url else PAGES[task.url]

    run = crawl(spider(), answer, proxies=6)

    has_all_films(run)
    assert charged(run)[3:] == [0, 0, 0]


@pytest.mark.parametrize("proxies", [1, 2, 8])
def test_a_site_that_shows_one_page_to_everybody_is_asked_for_nothing_twice(proxies: int) -> None:
    def answer(task: Task, proxy: int) -> Answer:
        return LISTS[task.url] if "list" in task.url else "<h1>Loading</h1>"

    run = crawl(spider(), answer, proxies=proxies)

    assert (run.end, len(run.items)) == ("complete", len(FILMS))
    assert len(run.requests) <= ALL + 2
    assert charged(run) == [0] * proxies


def test_proxies_that_get_a_page_of_their_own_each_cost_nothing() -> None:
    def answer(task: Task, proxy: int) -> Answer:
        return LISTS[task.url] if "list" in task.url else f"<h1>Loading</h1><i>session {proxy}</i>"

    run = crawl(spider(), answer, proxies=20)

    assert len(run.requests) <= ALL + 4
    assert charged(run) == [0] * 20


@pytest.mark.parametrize("share", [2, 3, 10])
def test_pages_that_are_alike_for_everybody_are_believed(share: int) -> None:
    """Films without a title of their own, as a shop has pages that say "no reviews yet"."""
    alike = set(FILMS[::share])

    def answer(task: Task, proxy: int) -> Answer:
        return "<h1>No title yet</h1>" if task.url in alike else PAGES[task.url]

    run = crawl(spider(), answer, proxies=4)

    assert (run.end, len(run.items), charged(run)) == ("complete", len(FILMS), [0] * 4)
    assert len(run.requests) <= ALL + 3


def test_the_only_proxy_is_believed() -> None:
    run = crawl(spider(), lambda task, proxy: LISTS.get(task.url, "<h1>Up</h1>"), proxies=1)

    assert (run.end, len(run.items), len(run.requests)) == ("complete", len(FILMS), ALL)


@pytest.mark.parametrize("shown", [403, 500, "<h1></h1>"])
def test_one_good_proxy_among_bad_ones_loses_no_page_for_what_it_alone_can_show(shown: Answer) -> None:
    def answer(task: Task, proxy: int) -> Answer:
        return LISTS.get(task.url, "<h1>Up</h1>") if proxy == 1 else shown

    run = crawl(spider(), answer, proxies=5)

    assert (run.end, len(run.items), run.failures) == ("complete", len(FILMS), [])
    assert charged(run)[0] == 0


def test_pages_in_doubt_stay_when_no_other_proxy_has_them() -> None:
    """The liar is found out by one page; then the only other proxy is banned for good."""
    told: Counter[str] = Counter()

    def answer(task: Task, proxy: int) -> Answer:
        if "list" in task.url:
            return PAGES[task.url]
        if proxy == 1:
            return cached(task)
        told[task.url] += 1
        return PAGES[task.url] if len(told) <= 8 else 403

    run = crawl(spider(), answer, proxies=2)

    assert run.stats["run"]["tasks"]["done"] + len(run.failures) + run.stats["run"]["tasks"]["waiting"] == ALL
    assert len({item["url"] for item in run.items}) == len(run.items)


def with_directors(url: str) -> str:
    return f"<h1>{url}</h1><p>Ann</p>"


def sparse(*liars: int) -> Site:
    def answer(task: Task, proxy: int) -> Answer:
        if "list" in task.url:
            return PAGES[task.url]
        return PAGES[task.url] if proxy in liars else with_directors(task.url)

    return answer


@pytest.mark.parametrize("proxies", [3, 4, 5])
def test_a_proxy_that_leaves_a_field_out_of_all_pages_is_found_out(proxies: int) -> None:
    run = crawl(spider(directors=True), sparse(1), proxies=proxies)

    assert (run.end, run.failures, len(run.items)) == ("complete", [], len(FILMS))
    assert {tuple(item["directors"]) for item in run.items} == {("Ann",)}
    liar, *others = charged(run)
    assert liar >= 3
    assert others == [0] * (proxies - 1)


@pytest.mark.parametrize("proxies", [5, 6, 7])
def test_liars_of_both_kinds_do_not_witness_for_each_other(proxies: int) -> None:
    def answer(task: Task, proxy: int) -> Answer:
        if proxy == 1:
            return PAGES[f"{SITE}/list/0"] if "list" in task.url else with_directors(FILMS[0])
        return sparse(2)(task, proxy)

    run = crawl(spider(directors=True), answer, proxies=proxies)

    assert (run.end, run.failures, len(run.items)) == ("complete", [], len(FILMS))
    assert all(item["title"] == item["url"] and item["directors"] == ["Ann"] for item in run.items)
    assert charged(run)[2:] == [0] * (proxies - 2)


def test_films_without_directors_are_believed_from_whatever_proxy() -> None:
    """Every third film has none, and one proxy happens to get only such films for a while."""

    def answer(task: Task, proxy: int) -> Answer:
        return PAGES[task.url] if "list" in task.url or task.url in FILMS[::3] else with_directors(task.url)

    run = crawl(spider(directors=True), answer, proxies=4)

    assert (run.end, len(run.items), len(run.requests), charged(run)) == ("complete", len(FILMS), ALL, [0] * 4)


def test_a_field_that_nobody_has_is_nobodys_fault() -> None:
    run = crawl(spider(directors=True), sparse(1, 2, 3, 4), proxies=4)

    assert (run.end, len(run.items), len(run.requests), charged(run)) == ("complete", len(FILMS), ALL, [0] * 4)


def test_files_are_not_asked_for_twice(tmp_path: Path) -> None:
    """What a liar has stored in a folder would be written over while somebody reads it."""
    file, page = answered(), answered()._replace(digest=7)
    with new_journal(tmp_path / "films.db", task("1"), task("2")) as journal:
        looks = SecondLooks(journal, Mock(spec=Settler), FakeClock())
        looks._bodies.distrust(file.proxy)
        journal.settle(done(1, file), START)
        journal.settle(done(2, page), START)

        looks.settled(Entry(1, task("1"), is_index=False), file)
        looks.settled(Entry(2, task("2"), is_index=False), page)

        assert [one.waiting.id for one in looks.due()] == [2]
