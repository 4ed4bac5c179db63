"""What a user declares of a site: stages, rules and seeds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pinpool.errors import SettingsError, SpiderError
from pinpool.settings import Settings
from pinpool.spider.spider import Spider
from pinpool.tasks import request

SITE = "https://site.example/"


# Declaring


def test_a_spider_holds_what_was_declared() -> None:
    spider = Spider(seeds=[SITE], name="films", pace=2, headers={"Accept": "text/html"})

    @spider.index
    def films(page: object) -> None: ...

    @spider.detail
    def film(page: object) -> None: ...

    @spider.stage("reviews")
    def reviews(page: object) -> None: ...

    @spider.ban
    def banned(page: object) -> None: ...

    @spider.on_pin
    def log_in(session: object) -> None: ...

    spider.check()
    assert spider.stages == {"index": films, "detail": film, "reviews": reviews}
    assert (spider.ban_rule, spider.warm) == (banned, log_in)
    assert spider.settings == Settings(pace=2.0, headers={"Accept": "text/html"})
    assert repr(spider) == "<Spider films: index, detail, reviews>"


def test_a_spider_is_named_after_its_file() -> None:
    assert Spider().name == "test_spider"


def test_all_wrong_settings_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        Spider(seeds=[SITE], pase=1, attempts=0)

    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["pase", "attempts"]


def test_every_problem_of_a_declaration_is_reported_with_its_line() -> None:
    spider = Spider(seeds=[SITE, "ftp://site.example/", request(SITE, stage="extra")], name="a/b")

    @spider.index
    def films() -> None: ...

    @spider.index
    def again(page: object) -> None: ...

    @spider.detail
    async def film(page: object) -> None: ...

    @spider.stage("more films")
    async def more(page: object) -> AsyncIterator[int]:
        yield 1

    @spider.stage  # type: ignore[arg-type]
    def reviews(page: object) -> None: ...

    with pytest.raises(SpiderError) as refused:
        spider.check()

    texts = [problem.split(": ", 1)[1] for problem in refused.value.problems]
    assert texts == [
        "the name 'a/b' cannot be used as a file name",
        "the function must take one argument, the page",
        "the stage index is declared twice",
        "write def, not async def: a worker does one page at a time",
        "'more films' is not a stage name: use letters, digits and _ only",
        "write def, not async def: a worker does one page at a time",
        'a stage needs a name: @spider.stage("reviews")',
        "seed 2: 'ftp://site.example/' cannot be requested: it must start with http:// or https://",
        "seed 3: no stage extra; the spider has index, detail",
    ]
    places = [problem.split(": ", 1)[0] for problem in refused.value.problems]
    assert all(place.rpartition(":")[0].endswith("test_spider.py") for place in places)
    assert int(places[1].rpartition(":")[2]) < int(places[2].rpartition(":")[2])


def test_neither_ban_rule_nor_hook_is_declared_twice() -> None:
    spider = Spider(seeds=[SITE])
    for declare in (spider.index, spider.ban, spider.ban, spider.on_pin, spider.on_pin):
        declare(lambda found: None)

    with pytest.raises(SpiderError, match=r"ban rule is declared twice\n.*on_pin is declared twice"):
        spider.check()


def test_a_spider_needs_stages_and_seeds() -> None:
    with pytest.raises(SpiderError, match=r"has no stage(.|\n)*has no seeds"):
        Spider().check()


def test_thousands_of_bad_seeds_are_counted_not_listed() -> None:
    spider = Spider(seeds=[f"page/{n}" for n in range(5000)])
    spider.index(lambda page: None)

    with pytest.raises(SpiderError) as refused:
        spider.check()

    assert len(refused.value.problems) == 21
    assert refused.value.problems[-1].endswith("and 4,980 more seeds like these")


# Seeds


@pytest.mark.parametrize(
    "seeds",
    [
        SITE,
        [SITE],
        (SITE,),
        {SITE: 1},
        lambda: [SITE],
        lambda: SITE,
        iter([SITE]),
        lambda: (url for url in [SITE]),
    ],
    ids=["text", "list", "tuple", "dict", "function", "function of text", "iterator", "generator function"],
)
def test_seeds_may_come_in_any_form_and_are_still_there_the_second_time(seeds: object) -> None:
    spider = Spider(seeds=seeds)  # type: ignore[arg-type]

    assert list(spider.start()) == [SITE]
    assert list(spider.start()) == [SITE]


def test_one_task_is_a_seed_although_it_is_a_tuple() -> None:
    task = request(SITE, stage="detail", form={"q": 1})

    assert list(Spider(seeds=task).start()) == [task]


def test_a_function_of_seeds_is_called_once() -> None:
    calls: list[str] = []

    def seeds() -> Iterator[str]:
        calls.append("called")
        yield SITE

    spider = Spider(seeds=seeds)
    spider.index(lambda page: None)
    spider.check()
    spider.start()

    assert calls == ["called"]


def test_a_function_of_seeds_that_raises_is_reported_with_its_line() -> None:
    def seeds() -> list[str]:
        raise OSError("no list today")

    spider = Spider(seeds=seeds)

    with pytest.raises(SpiderError, match=rf"test_spider\.py:{seeds.__code__.co_firstlineno + 1}: OSError: no list"):
        spider.start()


def test_a_seed_that_is_only_a_url_belongs_to_the_index_or_the_first_stage() -> None:
    first, second = Spider(), Spider()
    first.detail(lambda page: None)
    first.index(lambda page: None)
    second.stage("search")(lambda page: None)
    second.detail(lambda page: None)

    assert (first.first_stage, second.first_stage) == ("index", "search")
