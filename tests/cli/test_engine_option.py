"""`--engine`, and the options that only some engines have a use for."""

from __future__ import annotations

import pytest

from commands import LIST, Desk
from films import holds_each_film_once
from pinpool.lab import Lab

INLINE = ("--engine", "inline")


def test_a_crawl_in_the_calling_process_ends_as_any_other(desk: Desk, lab: Lab) -> None:
    crawled = desk.run("crawl", "films.py", *LIST, *INLINE, "-o", "films.jsonl", "--json")

    run = crawled.json()["run"]
    assert (crawled.code, crawled.err) == (0, "")
    assert (run["engine"], run["state"], run["workers"]) == ("inline", "complete", len(lab.proxies))
    assert holds_each_film_once(desk, lab)
    assert desk.run("verify", "films.db").code == 0


def test_options_that_an_engine_has_no_use_for_are_all_named_at_once(desk: Desk, lab: Lab) -> None:
    inline = desk.run("crawl", "films.py", *LIST, *INLINE, "--threads", 4, "--start-method", "spawn")
    processes = desk.run("crawl", "films.py", *LIST, "--raise")

    assert inline.code == processes.code == 2
    assert inline.err == (
        "--threads: the engine inline has no use for it: leave it out, or take --engine processes or --engine ray\n"
        "--start-method: the engine inline has no use for it: leave it out, or take --engine processes\n"
    )
    assert processes.err == "--raise: the engine processes has no use for it: leave it out, or take --engine inline\n"
    assert not (desk / "films.db").exists()


@pytest.mark.parametrize("command", ["crawl", "fetch", "resume"])
def test_an_engine_that_is_not_there_is_refused_with_those_that_are(desk: Desk, command: str) -> None:
    said = desk.run(command, "films.py", "--engine", "threads")

    assert said.code == 2
    assert "'processes', 'inline'" in said.err


def test_a_run_of_processes_goes_on_inline_and_back(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl", "--limit", 2, "--threads", 4)

    inline = desk.run("resume", "films.db", *INLINE, "--limit", 2, "--json")
    as_before = desk.run("resume", "films.db", "--limit", 2, "--json")
    back = desk.run("resume", "films.db", "--engine", "processes", "--json")

    engines = [said.json()["run"]["engine"] for said in (inline, as_before, back)]
    assert engines == ["inline", "inline", "processes"]
    assert (inline.code, as_before.code, back.code) == (0, 0, 0)
    assert holds_each_film_once(desk, lab)


def test_a_resume_names_what_the_recorded_engine_has_no_use_for(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST, "--limit", 1)

    said = desk.run("resume", "films.db", "--raise")

    assert (said.code, said.err) == (
        2,
        "--raise: the engine processes has no use for it: leave it out, or take --engine inline\n",
    )


def test_threads_of_a_spider_are_no_fault_of_who_looks_at_it_inline(desk: Desk, lab: Lab) -> None:
    source = (desk / "films.py").read_text()
    desk.write("films.py", source.replace("Spider(", "Spider(threads=4, ", 1))

    assert desk.run("crawl", "films.py", *LIST, *INLINE).code == 0


def test_an_address_is_for_a_cluster_alone(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST, *INLINE, "--limit", 1)

    said = desk.run("resume", "films.db", "--address", "10.0.0.1:6379")

    assert (said.code, said.err) == (
        2,
        "--address: the engine inline has no use for it: leave it out, or take --engine ray\n",
    )
