from __future__ import annotations

from pathlib import Path

import pytest

from journals import (
    ABOUT,
    LABELS,
    START,
    answered,
    done,
    failed,
    given_up,
    item,
    new_journal,
    put_off,
    task,
    whole_run,
)
from pinpool.errors import JournalError
from pinpool.journal.writer import Journal
from pinpool.model import Event, EventKind
from pinpool.report.queries import SLOWEST, read_run
from pinpool.report.run_data import SlowPage
from pinpool.stats.resources import Utilization

HOUR = 3600.0


def test_the_account_of_a_whole_run_adds_up(path: Path) -> None:
    whole_run(path)

    told = read_run(path, START + 10)

    assert (told.totals.attempts, told.totals.bytes, told.totals.axis.seconds) == (5, 4000, 6)
    assert sum(part.pages for part in told.totals.slices) == 4
    assert [part.faults for part in told.totals.slices if part.faults] == [{"timeout": 1}]
    assert told.totals.histories[1].failed == 1
    assert told.waste("timeout").seconds == told.waste().seconds == 5.0
    assert told.waste("refused").attempts == 0
    assert (told.complete, told.damage) == (True, [])


def test_the_slowest_pages_come_with_their_address(path: Path) -> None:
    with new_journal(path, *(task(str(n)) for n in range(SLOWEST + 5))) as journal:
        for n in range(SLOWEST + 5):
            journal.settle(done(n + 1, answered(item(str(n)))._replace(seconds=n + 1.0)), START + n)

    told = read_run(path, START + 60)

    url = f"http://films.example/detail/{SLOWEST + 4}"
    assert told.slowest[0] == SlowPage(SLOWEST + 5.0, 1000, "detail", url, LABELS[0])
    assert [page.seconds for page in told.slowest] == [SLOWEST + 5.0 - n for n in range(SLOWEST)]


def test_what_was_given_up_is_told_with_its_last_fault_and_is_no_damage(path: Path) -> None:
    with new_journal(path, task("a"), task("b")) as journal:
        journal.settle(put_off(1, failed(1)), START + 1)
        journal.settle(given_up(1, failed(2, "never an answer")), START + 2)

    told = read_run(path, START + 3)

    (lost,) = told.given_up
    assert (lost["task"], lost["stage"], lost["url"]) == (1, "detail", task("a").url)
    assert lost["reason"] == "timeout on 2 proxies"
    assert len({attempt["proxy"] for attempt in lost["attempts"]}) == len(lost["attempts"]) == 2
    assert (lost["attempts"][-1]["fault"], lost["attempts"][-1]["message"]) == ("timeout", "never an answer")
    assert told.faults_of_failed == {"timeout": 1}
    assert (told.complete, told.damage) == (False, [])


def test_the_states_of_a_proxy_are_read_from_its_moves(path: Path) -> None:
    with new_journal(path, task("a")) as journal:
        journal.event(Event(START, EventKind.LEASED, 1, 7))
        journal.event(Event(START, EventKind.LEASED, 2, 8))
        journal.event(Event(START + 5, EventKind.FAULTED, 1))
        journal.event(Event(START + 6, EventKind.REBUILT, detail="for no reason"))
        journal.finish("complete", START + 10)

    strips = read_run(path, START + 10).strips

    assert [(one, length) for one, _, length in strips[1].segments] == [("pinned", 10), ("cooling", 10)]
    assert [one for one, _, _ in strips[2].segments] == ["pinned"]
    assert len(LABELS) == len(strips) == 2


def test_the_night_between_two_starts_is_cut_out(path: Path) -> None:
    with new_journal(path, task("a"), task("b"), task("c")) as journal:
        journal.settle(done(1, answered(item("a"))._replace(at=START + 10)), START + 10)
        journal.finish("interrupted", START + 20)
    with Journal.open(path) as journal:
        journal.resume(ABOUT, START + 9 * HOUR)
        journal.settle(done(2, answered(item("b"))._replace(at=START + 9 * HOUR)), START + 9 * HOUR)
        journal.settle(done(3, answered(item("c"))._replace(at=START + 9 * HOUR + 10)), START + 9 * HOUR + 10)
        journal.finish("complete", START + 9 * HOUR + 20)

    axis = read_run(path, START + 10 * HOUR).totals.axis

    assert axis.pauses == ((START + 10, START + 9 * HOUR),)
    assert axis.seconds == pytest.approx(30)


def test_silences_and_the_timesheet_are_read_from_the_events(path: Path) -> None:
    sheet = Utilization(seconds=60, present=600, running=300, parked=300)
    with new_journal(path, *(task(str(n)) for n in range(60))) as journal:
        for n in range(60):
            journal.settle(done(n + 1, answered(item(str(n)))), START + n)
        for at, kind in (
            (10, EventKind.PAUSED),
            (20, EventKind.PAUSED),
            (30, EventKind.CONTINUED),
            (50, EventKind.PAUSED),
        ):
            journal.event(Event(START + at, kind))
        journal.event(Event(START + 60, EventKind.WORKED, detail=sheet.text()))
        journal.finish("complete", START + 60)

    told = read_run(path, START + 60)

    assert told.silences == [(START + 10, START + 30), (START + 50, START + 60)]
    assert told.advice.startswith("10 workers on 2 proxies: they waited for a proxy 50% of the time")


def test_a_run_that_has_just_begun_has_an_account(path: Path) -> None:
    new_journal(path, task("a")).close()

    told = read_run(path, START)

    assert (told.totals.attempts, told.slowest, told.given_up, told.strips) == (0, [], [], {})


def test_a_file_that_is_no_journal_is_said_to_be_none(path: Path) -> None:
    path.write_text("no journal")

    with pytest.raises(JournalError, match="is not a SQLite file"):
        read_run(path, START)
