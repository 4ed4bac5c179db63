"""A TOML spider at the command line: tried, crawled, tuned, and refused with all its faults."""

from __future__ import annotations

import pytest

from commands import LIST, Desk
from pinpool.lab import Lab

FILMS = """\
seeds = ["SITE/page/{1..2}"]

[index]
details = '//a[@class="name"]/@href'

[detail.fields]
title = "h2.m-b-sm::text"
"""


@pytest.fixture
def films(desk: Desk, lab: Lab) -> Desk:
    desk.write("films.toml", FILMS.replace("SITE", lab.named_url))
    return desk


def test_a_page_is_tried(films: Desk, lab: Lab) -> None:
    index = films.run("try", "films.toml", *LIST)
    film = films.run("try", "films.toml", f"{lab.named_url}/detail/7", "--stage", "detail", *LIST)

    assert (index.code, film.code) == (0, 0)
    assert index.out.endswith("0 items, 10 tasks\n")
    assert f'"title": "{lab.films()["/detail/7"].title}"' in film.out


def test_a_crawl_stores_every_film_and_names_the_journal_after_the_file(films: Desk, lab: Lab) -> None:
    said = films.run("crawl", "films.toml", *LIST, "-o", "films.jsonl")

    assert said.code == 0
    assert {item["url"] for item in films.lines("films.jsonl")} == set(lab.films(lab.named_url))
    assert films.run("verify", "films.db").code == 0


def test_tune_measures_it(films: Desk) -> None:
    said = films.run("tune", "films.toml", *LIST, "--sizes", "1,2", "--pages", "20", "--json", "-q")

    assert said.code == 0
    assert said.json()["proxies"] == 4
    assert films.run("resume", "films.db").code == 0


def test_a_spider_with_faults_starts_nothing_and_names_them_all(films: Desk, lab: Lab) -> None:
    films.write(
        "films.toml", FILMS.replace("SITE", lab.named_url).replace("details", "detials").replace("::text", "::txt")
    )
    before = sorted(path.name for path in films.folder.iterdir())

    for command in ("crawl", "try", "tune"):
        code, out, err = films.run(command, "films.toml", *LIST)

        lines = err.splitlines()
        assert (code, out) == (2, "")
        assert lines[0] == "films.toml:4: index.detials: no such key; did you mean details?"
        assert lines[1].startswith("films.toml:7: detail.fields.title: 'h2.m-b-sm::txt' is not a CSS selector: ")
        assert len(lines) == 2
    assert sorted(path.name for path in films.folder.iterdir()) == before


def test_an_argument_is_remembered_by_resume(films: Desk, lab: Lab) -> None:
    films.write("films.toml", FILMS.replace("SITE", lab.named_url).replace("{1..2}", "{1..${PAGES}}"))

    missing = films.run("crawl", "films.toml", *LIST)
    begun = films.run("crawl", "films.toml", *LIST, "-a", "PAGES=2", "--limit", "5")
    resumed = films.run("resume", "films.db")

    assert (missing.code, begun.code, resumed.code) == (2, 0, 0)
    assert "films.toml:1: seeds[1]: ${PAGES} has no value: give -a PAGES=VALUE" in missing.err
    assert films.run("verify", "films.db").code == 0


def test_a_token_of_the_environment_is_sent_and_never_stored(films: Desk, lab: Lab) -> None:
    text = FILMS.replace("SITE", lab.named_url) + "[headers]\nAuthorization = 'Bearer ${MOVIES_TOKEN}'\n"
    films.write("films.toml", text)

    without = films.run("crawl", "films.toml", *LIST)
    said = films.run("crawl", "films.toml", *LIST, "-vv", "--log", "run.log", MOVIES_TOKEN="hunter2-token")

    assert (without.code, said.code) == (2, 0)
    assert without.err == (
        "films.toml:9: headers.Authorization: ${MOVIES_TOKEN} has no value: "
        "give -a MOVIES_TOKEN=VALUE, or set MOVIES_TOKEN in the environment\n"
    )
    assert "hunter2" not in said.out + said.err
    assert not any(b"hunter2" in path.read_bytes() for path in films.folder.iterdir() if path.is_file())
