"""What a spider makes of a page: items and tasks, or the evidence of a failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pinpool.errors import DeadlinePassed
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.settings import Settings
from pinpool.spider.extraction import MAX_PAGE, Extracted, extract
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.tasks import request

URL = "https://site.example/films/1?page=2"


def fetched(body: str = "", url: str = URL) -> Fetched:
    return Fetched(url, 200, {}, body.encode(), 0.1, len(body.encode()))


def outcome_of(function: Callable[[Page], object], body: str = "<p>x</p>") -> Extracted | Evidence:
    """What becomes of a page whose stage is `function`, in a spider that also has a detail stage."""
    spider = Spider(seeds=[URL])
    spider.index(function)
    spider.detail(lambda page: None)
    return extract(spider, Page(request(URL), fetched(body), Settings()))


def yielded(value: object) -> Extracted:
    outcome = outcome_of(lambda page: value)
    assert isinstance(outcome, Extracted), outcome
    return outcome


def refused(value: object) -> str:
    outcome = outcome_of(lambda page: value)
    assert isinstance(outcome, Evidence), outcome
    assert (outcome.step, outcome.sign, outcome.status) == (Step.EXTRACT, Sign.RAISED, 200)
    return outcome.message


# What a stage may yield


def test_items_and_tasks_may_come_in_any_nesting() -> None:
    def films(page: Page) -> Iterator[object]:
        yield {"n": 1}
        yield None
        yield [{"n": 2}, ({"n": 3}, page.task("/1"))]
        yield page.details("//a/@href")
        yield from ({"n": n} for n in (4,))
        yield filter(None, [{"n": 5}])

    outcome = outcome_of(films, '<a href="/2">')

    assert isinstance(outcome, Extracted)
    assert [json.loads(item)["n"] for item in outcome.items] == [1, 2, 3, 4, 5]
    assert [task.url for task in outcome.tasks] == ["https://site.example/1", "https://site.example/2"]
    assert not outcome.empty


def test_one_dict_or_one_task_is_enough() -> None:
    task = request(URL, stage="detail")

    assert yielded({"n": 1}) == Extracted(('{"n":1}',), (), False, filled=frozenset({"n"}))
    assert yielded(task) == Extracted((), (task,), False)


@pytest.mark.parametrize(
    ("value", "empty"),
    [
        (None, True),
        ([], True),
        ({}, True),
        ({"url": URL}, True),
        ({"url": URL, "title": None, "directors": ["", " "]}, True),
        ([{"url": URL, "title": ""}, {"url": URL, "title": None}], True),
        ([{"url": URL, "title": ""}, {"url": URL, "title": "x"}], False),
        ({"url": URL, "score": 0}, False),
        ({"title": "x"}, False),
        ([{"url": URL, "title": ""}, request(URL)], True),
        ([{"url": URL}, request(URL)], False),
        ([{"url": URL, "title": "x"}, {"url": URL, "title": ""}, request(URL)], False),
    ],
)
def test_a_page_is_empty_if_it_yields_only_urls(value: object, empty: bool) -> None:
    assert yielded(value).empty is empty


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "stage index yields str; it may yield dicts, objects with fields, tasks, and lists of them"),
        ([b"x"], "stage index yields bytes; it may yield"),
        (5, "stage index yields int; it may yield"),
        ({"a": b"x"}, "stage index: field a is bytes"),
        ({"a": {"b": float("nan")}}, "stage index: field a.b is nan"),
        ({1: 2}, "stage index: a key of the item is int"),
        (
            request(URL, stage="nowhere"),
            "stage index asks for stage nowhere, but the spider only has index, detail",
        ),
    ],
)
def test_any_other_value_is_evidence_that_names_it(value: object, message: str) -> None:
    assert refused(value).startswith(message)


def test_an_element_is_not_a_list_of_its_children() -> None:
    outcome = outcome_of(lambda page: page.select("//p"))

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith("stage index yields _Element")


def test_a_list_that_holds_itself_is_evidence() -> None:
    ring: list[object] = []
    ring.append(ring)

    assert "nested deeper than" in refused(ring)


def test_deep_items_are_evidence() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}

    assert "nested deeper than" in refused(deep)


def test_more_than_10_mb_from_one_page_are_evidence() -> None:
    item = {"text": "x" * 900_000}

    assert "more than 10,000,000 characters" in refused(item for _ in range(12))


def test_a_long_base_does_not_multiply_without_limit() -> None:
    """Half a million short links below one long base would be 30 GB of URLs."""
    body = f'<base href="/{"x" * 60_000}/">' + '<a href="a">' * 5000

    outcome = outcome_of(lambda page: page.details("//a/@href"), body)

    assert isinstance(outcome, Evidence)
    assert f"more than {MAX_PAGE:,} characters" in outcome.message


def test_a_generator_without_end_is_ended() -> None:
    def endless() -> Iterator[dict[str, int]]:
        while True:
            yield {}

    assert "more than" in refused(endless())


# The ban rule


def test_the_ban_rule_comes_first_and_gives_the_reason() -> None:
    spider = Spider(seeds=[URL])
    spider.index(lambda page: pytest.fail("a banned page is not extracted"))
    spider.ban(lambda page: "unusual\ntraffic" if "traffic" in page.text else None)

    outcome = extract(spider, Page(request(URL), fetched("traffic"), Settings()))

    assert outcome == Evidence(Step.PAGE, Sign.BAN, "unusual traffic", 200)


def test_a_ban_rule_that_finds_nothing_lets_the_page_through() -> None:
    spider = Spider(seeds=[URL])
    spider.index(lambda page: {"a": 1})
    spider.ban(lambda page: None)

    assert isinstance(extract(spider, Page(request(URL), fetched(), Settings())), Extracted)


def test_a_ban_rule_that_raises_is_evidence_against_the_spider() -> None:
    spider = Spider(seeds=[URL])
    spider.index(lambda page: None)
    spider.ban(lambda page: 1 / 0)

    outcome = extract(spider, Page(request(URL), fetched(), Settings()))

    assert isinstance(outcome, Evidence)
    assert (outcome.step, outcome.sign) == (Step.EXTRACT, Sign.RAISED)


# What user code may do


def test_a_selector_that_cannot_be_used_is_evidence_with_its_reason() -> None:
    outcome = outcome_of(lambda page: page.all("//p["))

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith(
        "ValueError: '//p[' is not an XPath selector: Invalid expression (test_extraction.py:"
    )


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def raising(error: BaseException) -> Callable[[Page], object]:
    def stage(page: Page) -> object:
        raise error

    return stage


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TypeError("no title"), "TypeError: no title (test_extraction.py:"),
        (SystemExit("enough"), "SystemExit: enough (test_extraction.py:"),
        (KeyboardInterrupt(), "KeyboardInterrupt (test_extraction.py:"),
        (MemoryError(), "MemoryError (test_extraction.py:"),
        (GeneratorExit(), "GeneratorExit (test_extraction.py:"),
        (Unprintable(), "Unprintable: (its text cannot be shown) (test_extraction.py:"),
        (ValueError("\x1b[2J\nevil\ud800"), "ValueError: [2J evil (test_extraction.py:"),
    ],
)
def test_whatever_user_code_raises_is_evidence_with_file_and_line(error: BaseException, message: str) -> None:
    outcome = outcome_of(raising(error))

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith(message)
    assert (outcome.step, outcome.sign, outcome.status) == (Step.EXTRACT, Sign.RAISED, 200)


def test_the_line_is_the_innermost_one_of_the_spiders_file() -> None:
    def helper(page: Page) -> object:
        return json.loads("{")

    outcome = outcome_of(helper)

    assert isinstance(outcome, Evidence)
    assert outcome.message.endswith(f"(test_extraction.py:{helper.__code__.co_firstlineno + 1})")


def test_a_generator_that_raises_halfway_leaves_nothing_behind() -> None:
    def films(page: Page) -> Iterator[object]:
        yield {"n": 1}
        raise KeyError("title")

    outcome = outcome_of(films)

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith("KeyError: 'title' (test_extraction.py:")


def test_endless_recursion_is_evidence() -> None:
    def stage(page: Page) -> object:
        return stage(page)

    outcome = outcome_of(stage)

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith("RecursionError: maximum recursion depth exceeded")


def test_a_long_message_is_cut() -> None:
    outcome = outcome_of(raising(ValueError("x" * 10_000)))

    assert isinstance(outcome, Evidence)
    assert len(outcome.message) < 350


def test_the_deadline_passes_through_user_code() -> None:
    with pytest.raises(DeadlinePassed):
        outcome_of(raising(DeadlinePassed()))


def test_a_stage_that_no_longer_exists_is_evidence() -> None:
    """A journal may be resumed with a spider that was changed."""
    spider = Spider(seeds=[URL])
    spider.index(lambda page: None)

    outcome = extract(spider, Page(request(URL, stage="film"), fetched(), Settings()))

    assert isinstance(outcome, Evidence)
    assert outcome.message == "no stage film; the spider has index"


# The shipped spider


LIST = """<a class="name" href="/detail/1"><h2>One</h2></a><a class="name" href="/detail/2"><h2>Two</h2></a>
<a class="next" href="/page/2">next</a>"""
DETAIL = """<h2 class="m-b-sm">霸王别姬 - Farewell My Concubine</h2>
<div class="categories"><button><span>剧情</span></button><button><span>爱情</span></button></div>
<p class="score m-t-md m-b-n-sm">
        9.5</p>
<div class="directors el-row"><div><p class="name">陈凯歌</p></div><div><p class="name">Other</p></div></div>"""


def film_site(stage: str, body: str) -> Any:
    spider = load(parse_ref("pinpool.examples.movies"), seeds=True)
    task: Task = request("https://ssr1.scrape.center/detail/1", stage=stage)
    return extract(spider, Page(task, fetched(body, url=task.url), spider.settings))


def test_the_movie_spider_finds_the_films_of_a_list() -> None:
    found = film_site("index", LIST)

    assert [task.url for task in found.tasks] == [f"https://ssr1.scrape.center/detail/{n}" for n in (1, 2)]


def test_the_movie_spider_finds_what_a_film_page_says() -> None:
    found = film_site("detail", DETAIL)

    assert [json.loads(item) for item in found.items] == [
        {
            "url": "https://ssr1.scrape.center/detail/1",
            "title": "霸王别姬 - Farewell My Concubine",
            "directors": ["陈凯歌", "Other"],
            "score": "9.5",
            "categories": ["剧情", "爱情"],
        }
    ]


def test_the_movie_spider_finds_nothing_on_a_page_of_another_kind() -> None:
    assert film_site("detail", "<h1>Please wait</h1>").empty


# What its items have


def test_the_fields_that_have_a_value_in_some_item_are_known() -> None:
    items = [
        {"url": URL, "title": "", "score": 0, "cast": []},
        {"url": URL, "title": "Up", "cast": [" "], "year": None},
    ]

    assert yielded(items).filled == {"url", "title", "score"}
    assert yielded([]).filled == frozenset()
