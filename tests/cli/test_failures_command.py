"""`pinpool failures`: what was given up, with its history."""

from __future__ import annotations

import re
import time

from commands import LIST, Desk
from journals import failed, given_up, new_journal, put_off, task
from pinpool.lab import Lab


def test_a_page_that_fails_is_exit_3_and_is_listed_with_its_history(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 418)

    crawl = desk.run("crawl", "films.py", *LIST)
    verify = desk.run("verify", "films.db")
    listed = desk.run("failures", "films.db")
    (failure,) = desk.run("failures", "films.db", "--json").json()

    url = f"{lab.named_url}/detail/3"
    warned, said = crawl.err.splitlines()
    assert f" warning pinpool: given up: '{url}': http_error on " in warned
    assert (crawl.code, said) == (3, "1 task failed; `pinpool failures films.db` says why")
    assert (verify.code, listed.code) == (3, 0)
    assert "1 task failed" in verify.out
    assert re.match(rf"detail {re.escape(url)}: http_error on [34] proxies\n", listed.out)
    assert listed.out.count("http_error (status 418)") in (3, 4)
    assert list(failure) == ["task", "stage", "url", "reason", "attempts", "page"]
    assert (failure["stage"], failure["url"]) == ("detail", url)
    assert len({attempt["proxy"] for attempt in failure["attempts"]}) >= 3
    for attempt in failure["attempts"]:
        assert list(attempt) == ["proxy", "fault", "seconds", "status", "at", "message", "page"]
        assert (attempt["fault"], attempt["status"]) == ("http_error", 418)


def test_each_fault_that_is_listed_is_explained_once(desk: Desk) -> None:
    with new_journal(desk / "films.db", task("1", "index"), task("2", "index")) as journal:
        for number in (1, 2):
            journal.settle(put_off(number, failed()), time.time())
            journal.settle(given_up(number, failed(proxy=2)), time.time())

    said = desk.run("failures", "films.db").out

    assert said.endswith("\ntimeout: Nothing came for longer than the time-out.\n")
    assert said.count("Nothing came for longer") == 1


def test_the_message_of_a_fault_cannot_control_the_terminal(desk: Desk) -> None:
    with new_journal(desk / "films.db", task("1", "index")) as journal:
        journal.settle(given_up(1, failed(message="\x1b[2Jgone")), time.time())

    said = desk.run("failures", "films.db").out

    assert "[2Jgone" in said
    assert "\x1b" not in said
