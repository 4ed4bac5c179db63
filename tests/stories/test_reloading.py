"""
The list of proxies changes while a crawl runs: by `--watch`, or at a SIGHUP.

Who was used, and by how many at once, is asked of the lab's own books.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from crawling import PATIENCE, Job, Start, job, strike, until
from pinpool.lab import Lab
from terminals import Terminal

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

PROXIES = 6


class Relisted:
    """A job whose list holds some of the lab's proxies, by their index."""

    def __init__(self, films: Job) -> None:
        self.films = films
        self.lab = films.lab
        self.file = films.folder / "proxies.txt"
        self._lines = [line for line in self.file.read_text().splitlines() if line and line[0] != "#"]

    def write(self, *indexes: int, more: str = "") -> None:
        """Replace the list as an editor does it."""
        beside = self.file.with_name("proxies.new")
        beside.write_text("\n".join([*(self._lines[index] for index in indexes), more, ""]))
        beside.replace(self.file)

    def uses(self, index: int) -> int:
        return sum(1 for seen in self.lab.requests if seen.proxy == index)

    def settled(self, start: Start, what: str, times: int = 1) -> None:
        until(lambda: start.said.count(what) >= times, f"{what!r} on stderr, which has: {start.said}")

    def more_requests(self, number: int = 10) -> None:
        enough = len(self.lab.requests) + number
        until(lambda: len(self.lab.requests) >= enough, "requests")

    def crawl_and_withdraw_the_first(self) -> Start:
        """A crawl with two proxies, the first of which has left the list while it worked, and its last page is over."""
        self.write(0, 1)
        start = self.films.crawl("-w", "2", "--watch")
        until(lambda: self.uses(0) > 2, "the first at work")
        self.write(1)
        self.settled(start, "1 proxy withdrawn")
        until(lambda: not self.lab.proxies[0].users, "its last page")
        return start

    def end(self, start: Start) -> int:
        """The exit code. The test has seen what it came for: the pages that are left take no time."""
        self.lab.set_latency(0.0)
        return start.wait()

    def states(self) -> dict[str, tuple[str, str | None]]:
        document = json.loads(self.films.ask("stats", "films.db", "--json").stdout)
        return {one["proxy"]: (one["state"], one["reason"]) for one in document["proxies"]}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(pages=20, proxies=PROXIES, latency=0.1) as running:
        yield running


@pytest.fixture
def listed(tmp_path: Path, lab: Lab) -> Iterator[Relisted]:
    """220 pages, of 0.1 s each."""
    with job(tmp_path / "run", lab) as films:
        yield Relisted(films)


def test_new_lines_are_taken_by_workers_that_wait_and_removed_ones_get_no_page_after_the_one_in_hand(
    listed: Relisted,
) -> None:
    listed.write(0, 1)
    start = listed.films.crawl("-w", "3", "--watch")
    until(lambda: listed.uses(0) > 3 and listed.uses(1) > 3, "both at work")

    listed.write(1, 2, 3)

    until(lambda: listed.uses(2) > 0 and listed.uses(3) > 0, "both new ones at work")
    listed.settled(start, "withdrawn")
    until(lambda: not listed.lab.proxies[0].users, "the last page of the withdrawn one")
    used = listed.uses(0)
    listed.more_requests(30)
    assert listed.uses(0) == used
    assert "proxies.txt: 2 proxies joined, 1 proxy withdrawn (1 after the page in hand)" in start.said
    assert "3 workers stay as they are" in start.said
    assert listed.end(start) == 0
    listed.films.complete()
    assert listed.states()[listed.lab.proxies[0].label] == ("retired", "withdrawn from the list")


def test_without_watch_the_list_is_read_again_at_a_sighup_only(listed: Relisted) -> None:
    listed.write(0, 1)
    start = listed.films.crawl("-w", "3")
    listed.more_requests()
    listed.write(1, 2)
    listed.more_requests(40)
    before = listed.uses(2)

    start.send(signal.SIGHUP, to_group=True)

    listed.settled(start, "1 proxy joined, 1 proxy withdrawn")
    until(lambda: listed.uses(2) > 0, "the new one at work")
    start.send(signal.SIGHUP)
    listed.settled(start, "read again, the list is as it was")
    assert before == 0
    assert listed.end(start) == 0
    listed.films.complete()


def test_a_bad_version_is_told_with_its_lines_and_ignored_and_a_good_one_is_heard_again(
    listed: Relisted,
) -> None:
    listed.write(0, 1)
    start = listed.films.crawl("-w", "2", "--watch")
    listed.more_requests()

    listed.write(0, more="ann:hush hush@192.0.2.1:80\n192.0.2.1:99999")
    listed.settled(start, "ignored, the old list stays")
    listed.file.unlink()
    listed.settled(start, "ignored, the old list stays", 2)
    used = listed.uses(1)
    listed.more_requests()
    still_used = listed.uses(1)
    listed.write(1, 0)
    listed.settled(start, "read again, the list is as it was")

    assert "proxies.txt:2: white space" in start.said
    assert "proxies.txt:3: the port" in start.said
    assert "hush" not in start.said
    assert still_used > used
    assert listed.end(start) == 0
    listed.films.complete()


def test_a_line_that_comes_back_is_used_again_with_its_history(listed: Relisted) -> None:
    start = listed.crawl_and_withdraw_the_first()
    listed.more_requests()
    used = listed.uses(0)

    listed.write(0, 1)

    until(lambda: listed.uses(0) > used, "the first at work again")
    assert listed.end(start) == 0
    listed.films.complete()
    stats = json.loads(listed.films.ask("stats", "films.db", "--json").stdout)["proxies"]
    first = next(one for one in stats if one["proxy"] == listed.lab.proxies[0].label)
    assert first["attempts"] == listed.uses(0)
    assert (first["state"], first["reason"]) == ("spare", None)


def test_a_withdrawn_proxy_whose_last_page_fails_is_off_the_list_and_does_not_rest(listed: Relisted) -> None:
    listed.lab.set_fault(0, "blackhole")
    listed.write(0, 1)
    start = listed.films.crawl("-w", "2", "--watch", "--swap-after", "1", "--timeout", "4")
    until(lambda: listed.lab.proxies[0].connections, "a page that hangs")

    listed.write(1)

    listed.settled(start, "1 proxy withdrawn (1 after the page in hand)")
    assert listed.end(start) == 0
    assert listed.lab.proxies[0].connections == 1
    assert listed.states()[listed.lab.proxies[0].label] == ("retired", "withdrawn from the list")
    listed.films.complete()


def test_a_withdrawn_proxy_is_not_used_by_a_resume_unless_its_line_is_back(listed: Relisted) -> None:
    start = listed.crawl_and_withdraw_the_first()
    used = listed.uses(0)
    start.send(signal.SIGTERM)
    assert start.wait() == 130

    start = listed.films.resume()
    listed.more_requests(20)
    unused = listed.uses(0)
    start.send(signal.SIGKILL)
    start.leaves_nobody()
    listed.write(0, 1)
    start = listed.films.resume()
    until(lambda: listed.uses(0) > used, "the one whose line is back")

    assert listed.end(start) == 0
    assert unused == used
    listed.films.complete()


def test_a_list_of_which_nothing_usable_is_left_ends_the_run_with_4_and_a_better_one_goes_on(
    listed: Relisted,
) -> None:
    listed.lab.set_fault(5, "auth")
    listed.write(0, 5)
    start = listed.films.crawl("-w", "2", "--watch")
    until(lambda: listed.lab.proxies[5].logins_refused and listed.uses(0) > 3, "both at work")

    listed.write(5)

    assert start.wait() == 4
    assert "pinpool resume films.db -p" in start.said
    listed.write(1, 2)
    assert listed.end(listed.films.resume()) == 0
    listed.films.complete()


def test_a_list_from_stdin_cannot_be_watched_and_a_sighup_says_so_and_changes_nothing(
    listed: Relisted,
) -> None:
    words = ["crawl", "films.py", "-p", "-", "-j", "films.db", "-o", "films.jsonl", "-w", "4"]
    with listed.file.open("rb") as stdin:
        command = [sys.executable, "-m", "pinpool", *words, "--watch"]
        refused = subprocess.run(
            command, cwd=listed.films.folder, stdin=stdin, capture_output=True, timeout=PATIENCE, check=False
        )
    err_file = listed.films.folder / "err"
    with listed.file.open("rb") as stdin, err_file.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "pinpool", *words], cwd=listed.films.folder, stdin=stdin, stderr=err
        )
    try:
        listed.more_requests()
        process.send_signal(signal.SIGHUP)
        until(lambda: "came from no file" in err_file.read_text(), "the word that there is nothing to read again")
        listed.lab.set_latency(0.0)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()

    assert refused.returncode == 2
    assert b"name one with -p FILE" in refused.stderr
    listed.films.complete()


# The terminal


def test_in_a_terminal_a_sighup_reads_the_list_and_closing_the_terminal_stops_the_run(
    listed: Relisted,
) -> None:
    listed.write(0, 1)
    with Terminal(listed.films, "-w", "3") as run:
        listed.more_requests()
        listed.write(0, 1, 2)
        run.send(signal.SIGHUP)
        until(lambda: "1 proxy joined" in run.read(), "the word that the list was read")
        until(lambda: listed.uses(2) > 0, "the new one at work")

        run.close()

        assert run.wait() == 130
    assert listed.end(listed.films.resume("-w", "3")) == 0
    listed.films.complete()


# Chaos


@pytest.mark.timeout(300)
def test_the_list_changes_again_and_again_while_workers_and_the_manager_die_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    random = Random(8)
    with (
        Lab(pages=50, proxies=8, latency=0.05, seed=3) as lab,
        job(tmp_path / "run", lab) as films,
    ):
        listed, reloads = Relisted(films), 0
        listed.write(0, 1, 2, 3)
        start = films.crawl("-w", "5", "--watch", "-s", "cooling=1")
        listed.more_requests(1)
        while len(lab.requests) < 500:
            assert start.runs, start.said
            listed.write(*random.sample(range(8), random.randint(1, 8)))
            if random.random() < 0.5:
                start.send(signal.SIGHUP)
            reloads += 1
            start.runs_for(random.uniform(0.0, 1.0))
            cast = start.cast()
            victims = cast.manager if random.random() < 0.15 else cast.workers
            if victims and random.random() < 0.7:
                strike(random.choice(victims))

        assert start.wait() == 0, start.said
        assert reloads > 5
        films.complete()
