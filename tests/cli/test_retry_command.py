"""`pinpool retry`: tasks that were given up get another chance."""

from __future__ import annotations

import time

from commands import LIST, Desk
from films import holds_each_film_once
from journals import failed, given_up, new_journal, task
from pinpool.journal.writer import Journal
from pinpool.lab import Lab

NONE_TIMED_OUT = "--reason: no task was given up for 'timeout'; `pinpool failures films.db` says for what"


def test_failed_tasks_can_be_put_back_and_a_resume_does_them(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 418)
    desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    lab.set_site_fault("/detail/3", None)

    none = desk.run("retry", "films.db", "--reason", "timeout")
    one = desk.run("retry", "films.db", "--reason", "http_error", "--task", f"{lab.named_url}/detail/3")
    resume = desk.run("resume", "films.db")

    assert (none.code, none.out) == (0, f"0 tasks are put back: {NONE_TIMED_OUT}\n")
    assert (one.code, one.out) == (0, "1 task is put back; `pinpool resume films.db` goes on\n")
    assert (resume.code, resume.err) == (0, "")
    assert holds_each_film_once(desk, lab)
    assert desk.run("failures", "films.db").out == "no task was given up\n"


def test_a_retry_that_finds_nothing_says_which_filter_found_none(desk: Desk) -> None:
    new_journal(desk / "films.db", task("1", "index")).close()
    none = desk.run("retry", "films.db").out
    with Journal.open(desk / "films.db") as journal:
        journal.settle(given_up(1, failed()), time.time())

    url = desk.run("retry", "films.db", "--task", "HTTP://films.example/other").out
    reason = desk.run("retry", "films.db", "--reason", "ban").out
    found = desk.run("retry", "films.db", "--task", "HTTP://FILMS.example/index/1#top").out

    assert none == "0 tasks are put back: no task was given up\n"
    assert url == "0 tasks are put back: --task: no task of http://films.example/other was given up\n"
    assert reason.startswith("0 tasks are put back: --reason: no task was given up for 'ban'; ")
    assert found.startswith("1 task is put back")
