"""`pinpool tune --from` as a user meets it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commands import Desk
from journals import new_journal, whole_run
from pinpool.lab import Lab

COLUMNS = ["workers", "pages_per_second", "of_ideal", "seconds", "latency_p50", "latency_p95", "fault_rate"]
COLUMNS += ["cpu", "rss_mb", "spares", "parked", "survival", "survival_from", "survival_to", "error"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk with a run of 88 pages over six proxies, by three workers."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    with Lab(pages=8, proxies=6, latency=0.02) as lab:
        desk.prepare(lab)
        crawled = desk.run("crawl", "films.py", "-p", "proxies.txt", "-w", 3, "-j", "run.db", "-q")
    assert crawled.code == 0, crawled.err
    yield desk
    desk.clear()


def test_a_recorded_run_predicts_what_other_numbers_of_workers_would_do(recorded: Desk) -> None:
    predicted = recorded.run("tune", "--from", "run.db", "--sizes", "6,1,3", "--json").json()

    assert [row["workers"] for row in predicted["rows"]] == [1, 3, 6]
    assert all(list(row) == COLUMNS for row in predicted["rows"])
    one, three, six = (row["pages_per_second"] for row in predicted["rows"])
    assert one < three < six
    assert (predicted["proxies"], predicted["pages"], predicted["spares_to_hold"]) == (6, 88, 0)
    assert predicted["recommended"] == 6
    assert predicted["rows"][0]["cpu"] > 0
    assert predicted["rows"][0]["rss_mb"] < predicted["rows"][2]["rss_mb"]


def test_the_table_ends_with_what_to_take(recorded: Desk) -> None:
    said = recorded.run("tune", "--from", "run.db")

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1].startswith("take 6 workers: ")


def test_options_ask_for_other_rules_and_another_size(recorded: Desk) -> None:
    asked = ("--proxies", 50, "--pages", 1000, "--pace", "2", "--sizes", 40, "--json")

    predicted = recorded.run("tune", "--from", "run.db", *asked).json()

    assert (predicted["proxies"], predicted["pages"]) == (50, 1000)
    assert predicted["rows"][0]["pages_per_second"] == pytest.approx(20.0, rel=0.1)


def test_the_same_journal_gives_the_same_figures(recorded: Desk) -> None:
    first, second = (recorded.run("tune", "--from", "run.db", "--json").out for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--sizes", "4,none"), "'none': give numbers of workers"),
        (("--sizes", ","), "',': give numbers of workers"),
        (
            ("--pace", "fast", "--swap-after", "0"),
            "pace: 'fast' is not a number\nswap_after: '0' is not from 1",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(recorded: Desk, options: tuple[str, ...], complaint: str) -> None:
    said = recorded.run("tune", "--from", "run.db", *options)

    assert said.code == 2
    assert complaint in said.err


def test_a_run_that_is_too_short_is_refused_with_what_to_do(tmp_path: Path) -> None:
    whole_run(tmp_path / "short.db")
    new_journal(tmp_path / "empty.db").close()

    for name in ("short.db", "empty.db"):
        said = Desk(tmp_path).run("tune", "--from", name)
        assert said.code == 2
        assert "30 are the least to learn from" in said.err


def test_the_rules_of_the_run_are_those_of_the_model_though_the_spider_is_gone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with Lab(pages=4, proxies=4) as lab:
        desk.prepare(lab)
        options = ("-p", "proxies.txt", "-j", "run.db", "-q", "--pace", "0.1")
        assert desk.run("crawl", "films.py", *options).code == 0
    (desk / "films.py").unlink()

    said = desk.run("tune", "--from", "run.db", "--sizes", 4, "--pages", 1000, "--json")

    assert said.err == ""
    assert said.json()["rows"][0]["pages_per_second"] == pytest.approx(40.0, rel=0.1)


def test_a_journal_of_an_older_pinpool_is_modelled_by_what_it_has(recorded: Desk) -> None:
    shutil.copy(recorded / "run.db", recorded / "old.db")
    with closing(sqlite3.connect(recorded / "old.db")) as db, db:
        db.execute("DELETE FROM events WHERE kind IN ('rules', 'measured')")

    said = recorded.run("tune", "--from", "old.db", "--json")

    assert "the defaults are assumed" in said.err
    assert "did not record its CPU time" in said.err
    assert said.json()["rows"][0]["cpu"] is None


def test_a_journal_full_of_nonsense_is_refused_or_modelled_and_never_a_crash(recorded: Desk) -> None:
    shutil.copy(recorded / "run.db", recorded / "odd.db")
    with closing(sqlite3.connect(recorded / "odd.db")) as db, db:
        db.execute("UPDATE events SET detail = '[1e999, \x1b[31m' WHERE kind IN ('rules', 'measured')")
        db.execute("UPDATE attempts SET seconds = -1 WHERE id % 5 = 0")
        db.execute("UPDATE attempts SET seconds = 9e999 WHERE id % 5 = 1")
        db.execute("UPDATE attempts SET ending = 'failed', fault = 'meteorite' WHERE id % 5 = 2")

    said = recorded.run("tune", "--from", "odd.db")

    assert said.code == 0
    assert "\x1b" not in said.out + said.err
