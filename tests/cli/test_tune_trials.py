"""`pinpool tune SPIDER` as a user meets it: real trials, on the lab."""

from __future__ import annotations

import signal

import pytest

from commands import Desk, Program
from pinpool.lab import Lab

pytestmark = pytest.mark.processes
TUNE = ("tune", "films.py", "-p", "proxies.txt")


def first_trial(program: Program) -> None:
    """Wait for the end of the trial with one worker; on a slow day a line of progress comes before."""
    while not (line := program.error_line()).startswith("1 worker: "):
        assert line, "it ended before its first trial did"


def test_trials_find_the_number_of_workers_and_resume_finishes_the_job_from_their_journal(desk: Desk) -> None:
    with Lab(pages=60, proxies=6, latency=0.05) as lab:
        desk.prepare(lab)
        said = desk.run(*TUNE, "--sizes", "1,3", "--pages", 300, "--json")
        asked = len(lab.requests)
        resumed = desk.run("resume", "films.db", "-w", 6, "-q")
        seen = {request.path for request in lab.requests}
        twice = len(lab.requests) - len(seen)

    document = said.json()
    one, three = document["rows"]
    assert (said.code, [one["workers"], three["workers"]]) == (0, [1, 3])
    assert one["pages_per_second"] < 0.7 * three["pages_per_second"]
    assert one["latency_p50"] > 0.035
    assert 0 < one["error"] < one["pages_per_second"]
    assert (document["recommended"], document["proxies"], document["pages"]) == (3, 6, 660)
    assert "pinpool resume films.db -w 3" in said.err
    assert asked <= 300
    assert resumed.code == 0
    assert desk.run("verify", "films.db", "--json").json()["complete"]
    assert (len(seen), twice) == (660, 0)


def test_the_plan_is_shown_before_and_each_trial_when_it_is_over(desk: Desk) -> None:
    with Lab(pages=40, proxies=2, latency=0.05) as lab:
        desk.prepare(lab)
        said = desk.run(*TUNE, "--pages", 120)

    lines = said.err.splitlines()
    assert lines[0] == (
        "1 trial with 2 workers through 2 proxies, of about 20 s or less: "
        "at most 120 pages in all; what they fetch is kept in films.db"
    )
    assert lines[1].startswith("2 workers: ")
    assert said.out.splitlines()[-1].startswith("take 2 workers: ")


def test_trials_start_from_the_seeds_of_a_file(desk: Desk) -> None:
    with Lab(pages=20, proxies=2, latency=0.02) as lab:
        desk.prepare(lab)
        seeds = "".join(f"{lab.named_url}/page/{n}\n" for n in (3, 4))
        said = desk.run(*TUNE, "--seeds", "-", "--json", stdin=seeds)
        lists = {request.path for request in lab.requests if request.path.startswith("/page/")}

    assert (said.code, said.json()["pages"]) == (0, 22)
    assert lists == {"/page/3", "/page/4"}


def test_trials_end_with_the_budget(desk: Desk) -> None:
    with Lab(pages=40, proxies=8, latency=0.02) as lab:
        desk.prepare(lab)
        said = desk.run(*TUNE, "--sizes", "2,8", "--pages", 60, "--json")
        asked = len(lab.requests)

    assert said.code == 0
    assert asked <= 60
    assert [row["workers"] for row in said.json()["rows"]] == [2]
    assert "the budget of 60 pages allows no trial of 8 workers" in said.json()["why"]


def test_a_job_that_is_done_before_the_trials_says_what_there_was(desk: Desk) -> None:
    with Lab(pages=4, proxies=4, latency=0.05) as lab:
        desk.prepare(lab)
        said = desk.run(*TUNE, "--json")

    assert said.code == 0
    assert said.json()["recommended"] == 2
    assert "the job was done" in said.json()["why"]
    assert desk.run("verify", "films.db").code == 0


def test_ctrl_c_ends_the_trials_and_shows_what_is_known(desk: Desk) -> None:
    with Lab(pages=400, proxies=2, latency=0.1) as lab:
        desk.prepare(lab)
        program = desk.start(*TUNE, "--sizes", "1,2", "--pages", 150, "--json")
        first_trial(program)
        known = len(lab.requests)
        lab.wait_for(lambda: len(lab.requests) > known + 4, 30)
        program.send(signal.SIGINT)
        said = program.end()
        resumed = desk.run("resume", "films.db", "-q", "--limit", 20)

    assert said.code == 130
    assert said.json()["rows"][0]["workers"] == 1
    assert "interrupted; `pinpool resume films.db" in said.err
    assert resumed.code == 0


def test_an_unfinished_run_is_not_overwritten(desk: Desk) -> None:
    with Lab(pages=10, proxies=2) as lab:
        desk.prepare(lab)
        assert desk.run("crawl", *TUNE[1:], "--limit", 10, "-q").code == 0
        refused = desk.run(*TUNE)
        fresh = desk.run(*TUNE, "--fresh", "--sizes", 2, "-q")

    assert refused.code == 2
    assert "`pinpool resume films.db` goes on with it, --fresh keeps it" in refused.err
    assert fresh.code == 0
    assert len(list(desk.folder.glob("films*.db"))) == 2


def test_a_list_that_is_used_up_ends_as_it_ends_a_crawl(desk: Desk) -> None:
    with Lab(pages=10, proxies=2, faults=["auth", "auth"]) as lab:
        desk.prepare(lab)
        said = desk.run(*TUNE, "--json")

    assert said.code == 4
    assert said.json()["recommended"] is None
    assert said.json()["rows"] == []
    assert "all 2 proxies refuse the login" in said.err


def test_a_site_that_turns_workers_away_ends_the_growth(desk: Desk) -> None:
    with Lab(pages=60, proxies=4, latency=0.02) as lab:
        desk.prepare(lab)
        program = desk.start(*TUNE, "--sizes", "1,2,4", "--pages", 600, "--json", "-s", "attempts=9")
        first_trial(program)
        lab.set_site_fault("/detail/*3", 429)
        said = program.end()

    document = said.json()
    assert said.code == 0
    assert document["recommended"] == 1
    # Bans rose or, if there were many at once, the site fell silent.
    assert "; with 2 workers " in document["why"]
    assert [row["workers"] for row in document["rows"]] == [1, 2]


def test_a_trial_whose_proxies_all_rest_is_the_last(desk: Desk) -> None:
    with Lab(pages=30, proxies=2, latency=0.02) as lab:
        desk.prepare(lab)
        program = desk.start(*TUNE, "--sizes", "1,2", "--pages", 300, "--json")
        first_trial(program)
        for index in range(2):
            lab.set_fault(index, "refused")
        said = program.end()

    assert said.code == 0
    assert "with 2 workers all proxies had to rest" in said.json()["why"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "name a spider to try it, or with --from"),
        (("films.py", "--from", "run.db"), "name a spider to try it, or with --from"),
        (("--from", "run.db", "--seeds", "-"), "--seeds means nothing with --from"),
        (("--from", "run.db", "--fresh", "-j", "a.db"), "--journal, --fresh means nothing with --from"),
        (("--from", "run.db", "-p", "proxies.txt"), "with --from give a number from 1"),
        (("films.py", "-p", "none.txt"), "none.txt"),
        (("films.py", "-p", "proxies.txt", "-s", "pace"), "'pace' is not KEY=VALUE"),
        (("films.py", "-p", "proxies.txt", "--sizes", "9999"), "give smaller ones"),
        (("films.py", "-p", "proxies.txt", "--sizes", "8", "--pages", "9"), "too few for 8 workers"),
        (("films.py", "-p", "proxies.txt", "-j", "films.py"), "films.py"),
    ],
)
def test_options_that_make_no_sense_are_named_and_nothing_is_written(
    desk: Desk, options: tuple[str, ...], complaint: str
) -> None:
    desk.write(
        "films.py",
        "from pinpool import Spider\nspider = Spider(seeds=['http://a.test/'])\n"
        "@spider.index\ndef films(page):\n    return {}\n",
    )
    desk.write("proxies.txt", "127.0.0.1:1\n127.0.0.1:2\n")

    said = desk.run("tune", *options)

    assert said.code == 2
    assert complaint in said.err
    assert sorted(path.name for path in desk.folder.glob("*.*")) == ["films.py", "proxies.txt"]
