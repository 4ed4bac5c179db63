"""Which page `pinpool try` asks for, and which stage of the spider reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pinpool import Spider, request
from pinpool.check.question import about_file, about_seed, about_url, listed_seeds, sent_with
from pinpool.model import Task
from pinpool.spider.loader import load, parse_ref

SITE = "https://site.example"


def spider(*stages: str, seeds: object = (f"{SITE}/page/1", f"{SITE}/page/2")) -> Spider:
    made = Spider(seeds=seeds)  # type: ignore[arg-type]
    for stage in stages:
        made.stage(stage)(lambda page: None)
    return made


@pytest.mark.parametrize(
    ("url", "stages", "why", "sure"),
    [
        ("/page/2", ("index",), "its URL is a seed", True),
        ("/page/2?#top", ("index",), "its URL is a seed", True),
        ("/page/17", ("index",), "like the seed 'https://site.example/page/1'", False),
        ("/detail/7", ("detail",), "unlike the seeds, so the other stage", False),
        ("/page/2?all=1", ("detail",), "unlike the seeds, so the other stage", False),
    ],
)
def test_of_two_stages_the_seeds_tell_which_one_reads_a_url(
    url: str, stages: tuple[str, ...], why: str, sure: bool
) -> None:
    question = about_url(spider("index", "detail"), SITE + url)

    assert (question.stages, question.why, question.sure) == (stages, why, sure)
    assert question.task.stage == stages[0]


def test_of_several_other_stages_the_page_itself_decides_and_that_of_the_seeds_comes_last() -> None:
    question = about_url(spider("detail", "index", "reviews"), f"{SITE}/shop/tea")

    assert question.stages == ("detail", "reviews", "index")
    assert (question.why, question.sure) == ("the first that makes something of the page", False)


def test_a_spider_with_one_stage_leaves_nothing_to_guess() -> None:
    question = about_url(spider("index"), f"{SITE}/anything")

    assert (question.stages, question.why, question.sure) == (("index",), "", True)


def test_a_stage_that_is_named_is_taken_as_it_is() -> None:
    question = about_url(spider("index", "detail"), f"{SITE}/page/1", "detail")

    assert (question.stages, question.task.stage, question.sure) == (("detail",), "detail", True)


def test_a_url_that_is_a_seed_is_asked_for_as_the_seed_says() -> None:
    seed = request(f"{SITE}/find", form={"q": "heat"}, headers={"X-Own": "1"}, data={"n": 7})

    assert about_url(spider("index", "detail", seeds=[seed]), f"{SITE}/find").task == seed


def _ask() -> list[str]:
    raise AssertionError("a function may ask somebody")


@pytest.mark.parametrize("seeds", [_ask, (url for url in [SITE]), ["ftp://no", SITE.upper()]])
def test_seeds_that_only_a_function_knows_are_not_asked_for(seeds: object) -> None:
    known = listed_seeds(spider("index", "detail", seeds=seeds))

    assert [seed.url for seed in known] == ([f"{SITE}/"] if isinstance(seeds, list) else [])


def test_seeds_in_a_toml_file_are_known(tmp_path: Path) -> None:
    file = tmp_path / "movies.toml"
    file.write_text(
        f'seeds = ["{SITE}/page/{{1..3}}"]\n[index]\ndetails = "a"\n[detail.fields]\ntitle = "h1"\n', encoding="utf-8"
    )
    movies = load(parse_ref(str(file)))

    assert about_url(movies, f"{SITE}/page/2").why == "its URL is a seed"
    assert about_url(movies, f"{SITE}/detail/7").stages == ("detail",)
    assert about_file(movies, None).task.url == f"{SITE}/page/1"


def test_where_no_seed_is_known_the_page_decides_that_of_plain_seeds_first() -> None:
    question = about_url(spider("detail", "index", seeds=_ask), f"{SITE}/page/1")

    assert (question.stages, question.sure) == (("index", "detail"), False)


def test_a_file_without_a_url_has_the_first_seeds_and_is_read_by_the_first_stage_that_can() -> None:
    question = about_file(spider("index", "detail"), None)

    assert (question.task.url, question.stages, question.sure) == (f"{SITE}/page/1", ("index", "detail"), False)


def test_a_file_of_a_spider_without_known_seeds_has_some_url() -> None:
    assert about_file(spider("index", seeds=_ask), None).task.url == "http://localhost/"


def test_the_first_seed_keeps_its_stage_unless_another_is_named() -> None:
    seed = request(SITE, stage="detail")

    assert about_seed(seed).stages == ("detail",)
    assert about_seed(seed, "index").task.stage == "index"


def test_a_form_makes_it_a_post_and_keeps_headers_and_data() -> None:
    seed = request(f"{SITE}/find", json={"old": 1}, headers={"X-Own": "1"}, data={"n": 7})

    task = sent_with(about_seed(seed), [("q", "heat"), ("q", "up & away")], None).task

    assert (task.method, task.body) == ("POST", b"q=heat&q=up+%26+away")
    assert dict(task.headers) == {"X-Own": "1", "Content-Type": "application/x-www-form-urlencoded"}
    assert json.loads(task.data or "") == {"n": 7}


def test_data_takes_the_place_of_what_another_page_handed_on() -> None:
    change: Callable[[Task], Task] = lambda seed: sent_with(about_seed(seed), [], {"year": 1979}).task  # noqa: E731
    seed = request(SITE, data={"n": 7})

    assert change(seed) == seed._replace(data='{"year":1979}')
    assert sent_with(about_seed(seed), [], None).task == seed
