"""`pinpool resume`: a run goes on where it stopped, for whatever reason it stopped."""

from __future__ import annotations

import signal

import pytest

from commands import DEADLINE, LIST, Desk
from films import holds_each_film_once
from pinpool.lab import Lab


def test_a_run_whose_proxies_are_used_up_is_exit_4_and_goes_on_with_a_better_list(desk: Desk, lab: Lab) -> None:
    worse, better = lab.proxies[:2], lab.proxies[2:]
    for proxy in worse:
        lab.set_fault(proxy.index, "auth")
    desk.write("worse.txt", "".join(f"{proxy.url}\n" for proxy in worse))
    desk.write("better.txt", "".join(f"{proxy.url}\n" for proxy in better))

    starved = desk.run("crawl", "films.py", "-p", "worse.txt", "-o", "films.jsonl", "--json")
    resumed = desk.run("resume", "films.db", "-p", "better.txt")

    assert starved.code == 4
    assert "all 2 proxies refuse the login\ncorrect user and password in the list" in starved.err
    assert "`pinpool resume films.db -p LIST`" in starved.err
    assert starved.json()["run"]["state"] == "starved"
    assert [row["state"] for row in starved.json()["proxies"]] == ["retired", "retired"]
    assert resumed.code == 0
    assert holds_each_film_once(desk, lab)


def test_a_list_that_is_named_again_gives_its_retired_proxies_another_chance(desk: Desk, lab: Lab) -> None:
    """Somebody has paid the bill meanwhile; nobody else would name the list again."""
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, "auth")
    starved = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, None)

    again = desk.run("resume", "films.db")
    named = desk.run("resume", "films.db", *LIST)

    assert (starved.code, again.code, named.code) == (4, 4, 0)
    assert holds_each_film_once(desk, lab)


def test_a_limited_crawl_stops_there_and_can_be_resumed(desk: Desk, lab: Lab) -> None:
    limited = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl", "--limit", 5)
    verify = desk.run("verify", "films.db", "--json")
    resumed = desk.run("resume", "films.db")

    assert limited.code == 0
    assert limited.err == "stopped at the wanted number of pages; `pinpool resume films.db` goes on\n"
    assert limited.out.startswith("limited: 5 pages")
    assert (verify.code, verify.json()["ended"], verify.json()["complete"]) == (3, 5, False)
    assert resumed.code == 0
    assert holds_each_film_once(desk, lab)
    assert len(lab.requests) == 22


#: The command line in a process whose files may have so many bytes: what a full disk does, without one.
SMALL_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from pinpool.cli import main
main()
"""


def test_without_room_for_its_files_a_run_is_exit_1_and_goes_on_when_there_is_some(desk: Desk) -> None:
    with Lab(pages=12, proxies=4) as lab:
        desk.prepare(lab)
        crawl = ("crawl", "films.py", *LIST, "-O", "films.jsonl")
        assert desk.run(*crawl).code == 0
        needed = (desk / "films.db").stat().st_size
        (desk / "films.db").unlink()

        codes = [
            desk.start_python("-c", SMALL_FILES, needed // 2, *crawl).end().code,
            desk.start_python("-c", SMALL_FILES, needed - 8192, *crawl).end().code,
            desk.start_python("-c", SMALL_FILES, 8192, "resume", "films.db").end().code,
            desk.run("resume", "films.db").code,
        ]

        assert codes == [1, 1, 1, 0]
        assert holds_each_film_once(desk, lab)
        assert {path.name for path in desk.folder.glob("*films*")} == {"films.py", "films.db", "films.jsonl"}


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "Ctrl-C"])
def test_an_interrupted_crawl_is_exit_130_and_a_resume_completes_it(desk: Desk, how: str) -> None:
    with Lab(pages=2, proxies=3, latency=0.2) as lab:
        desk.prepare(lab)
        program = desk.start("crawl", "films.py", *LIST, "-o", "films.jsonl")
        lab.wait_for(lambda: len(lab.requests) >= 6, DEADLINE)

        program.press_ctrl_c() if how == "Ctrl-C" else program.send(signal.Signals[how])
        interrupted = program.end()
        verify = desk.run("verify", "films.db")
        resumed = desk.run("resume", "films.db")

        assert interrupted.code == 130
        assert "Traceback" not in interrupted.err
        assert interrupted.err.endswith("interrupted; `pinpool resume films.db` goes on\n")
        assert interrupted.out.startswith("interrupted: ")
        assert verify.code == 3
        assert resumed.code == 0
        assert holds_each_film_once(desk, lab)
        assert len(lab.requests) == 22


#: At the top of a spider: presses Ctrl-C, and does what code in C may do while a module loads.
SWALLOWS = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    pass
"""


def test_a_ctrl_c_that_a_module_swallows_as_it_loads_interrupts_all_the_same(desk: Desk, lab: Lab) -> None:
    source = (desk / "films.py").read_text(encoding="utf-8")
    desk.write("films.py", SWALLOWS + source)

    interrupted = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    desk.write("films.py", source)
    resumed = desk.run("resume", "films.db")

    assert (interrupted.code, resumed.code) == (130, 0)
    assert holds_each_film_once(desk, lab)
