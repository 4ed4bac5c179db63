"""Whole crawls as a user starts them: the command in a session of its own, and what an onlooker sees of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

from pinpool import Run
from pinpool.lab import Film, Lab

__all__ = ["PATIENCE", "Cast", "Job", "Player", "Start", "descendants", "job", "spider", "strike", "until"]

#: No wait in a story is longer. Whoever gets here has failed.
PATIENCE = 180.0
#: The processes of a run that has ended, however, are gone within two seconds on an idle machine.
GONE_SECONDS = 30.0

#: A spider over the lab's films. BASE and PAGES are put in; MEDDLE is where a story does its mischief.
FILMS = """
from pinpool import Page, Spider

spider = Spider(seeds=[f"BASE/page/{n}" for n in range(1, PAGES + 1)])


def meddle(page: Page, number: int) -> object:
    MEDDLE


@spider.index
def films(page: Page):
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page: Page):
    odd = meddle(page, int(page.url.rpartition("/")[2]))
    if odd is not None:
        return odd
    return {
        "url": page.url,
        "title": page.first("h2.m-b-sm::text"),
        "directors": page.all('//div[@class="directors el-row"]//p/text()'),
    }
"""


def spider(meddle: str = "return None") -> str:
    """
    The source of a spider over the lab's films.

    `meddle` is the body of a function of a film's `page` and `number`; what it returns but None is the item.
    """
    return FILMS.replace("MEDDLE", indent(dedent(meddle).strip(), "    ").strip())


#: Nothing of ours runs before; what Python says to a Ctrl-C while it comes up itself is its own affair.
AS_PYTHON_IS_UP = """
import faulthandler, pathlib, signal
faulthandler.register(signal.SIGUSR1)
signal.signal(signal.SIGINT, signal.SIG_DFL)
pathlib.Path("up").touch()
"""


def until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return as soon as `true` says so; fail if it does not within `seconds`."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {what}"
        time.sleep(0.005)


class Player(NamedTuple):
    """A living process of a run. `since` is when it started, in kernel ticks."""

    pid: int
    parent: int
    since: int
    command: str


def strike(player: Player, number: int = signal.SIGKILL) -> None:
    """Send a signal to one of them, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(player.pid, number)


class Cast(NamedTuple):
    """The processes of a run by what they do, as far as the system tells. `workers` are the oldest first."""

    tracker: list[Player]
    forkserver: list[Player]
    manager: list[Player]
    workers: list[Player]


def players(session: int) -> Iterator[Player]:
    """Every living process of a session."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent, _, its_session, *rest = (
                    (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                )
                if int(its_session) == session and state not in "ZX":
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    yield Player(int(entry.name), int(parent), int(rest[15]), command)
            except OSError:
                continue


def descendants() -> list[Player]:
    """The processes that this one has started, but for the forkserver and the tracker, which serve all engines."""
    found: list[Player] = []
    everybody, family = list(players(os.getsid(0))), {os.getpid()}
    while born := [one for one in everybody if one.parent in family and one not in found]:
        found += born
        family |= {one.pid for one in born}
    servers = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")
    return [one for one in found if one.parent != os.getpid() or not any(name in one.command for name in servers)]


class Start:
    """One start of a run, by `pinpool crawl` or `pinpool resume`."""

    def __init__(self, command: list[str], folder: Path, name: str) -> None:
        self._err = folder / f"{name}.err"
        self._out = folder / f"{name}.out"
        with self._err.open("wb") as err, self._out.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def __repr__(self) -> str:
        return f"<Start {self.process.args!r} {self.process.returncode}>"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text(errors="replace")

    @property
    def printed(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def wait(self, seconds: float = PATIENCE, *, tidy: bool = True) -> int:
        """Its exit code. Nobody has shown a traceback, but after a SIGKILL, and where it cannot be asked (`tidy`)."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s; it said: {self.said}") from None
        assert not tidy or code == -signal.SIGKILL or "Traceback" not in self.said, self.said
        return code

    def runs_for(self, seconds: float) -> bool:
        """True if it is still running after so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def send(self, number: int, *, to_group: bool = False) -> None:
        """A signal, to the parent or, as a terminal does it, to every process of the run. Too late is no error."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number) if to_group else self.process.send_signal(number)

    def cast(self) -> Cast:
        """Who plays what now. The Manager is the eldest of those that do the work."""
        others = sorted((p for p in players(self.pid) if p.pid != self.pid), key=lambda p: (p.since, p.pid))
        tracker = [p for p in others if "resource_tracker" in p.command]
        forkserver = [p for p in others if p.parent == self.pid and "multiprocessing.forkserver" in p.command]
        hands = [p for p in others if p not in tracker and p not in forkserver]
        return Cast(tracker, forkserver, hands[:1], hands[1:])

    def leaves_nobody(self, seconds: float = GONE_SECONDS) -> None:
        """The parent is gone, and soon all others are. If it is not, its threads are shown, also by its own word."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            threads = self._threads()
            self.send(signal.SIGUSR1)  # see AS_PYTHON_IS_UP
            self.runs_for(1.0)
            raise AssertionError(f"still there after {PATIENCE:g} s: {threads}; it said: {self.said}") from None
        try:
            until(lambda: not list(players(self.pid)), "all its processes gone", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {list(players(self.pid))}") from None

    def _threads(self) -> list[str]:
        """State and place in the kernel of each thread of the parent."""
        wanted = re.compile(r"(?:State|Sig\w+):\s*(.+)")
        return [
            " ".join([*wanted.findall((one / "status").read_text()), (one / "wchan").read_text()])
            for one in Path(f"/proc/{self.pid}/task").iterdir()
        ]

    def sweep(self) -> None:
        """End whatever is left. For the end of a test, whatever came of it."""
        for player in players(self.pid):
            strike(player)
        self.process.wait(PATIENCE)


class Job:
    """A folder with a spider, a list of proxies, a journal and an output file, over one lab."""

    #: How many workers share a process of its crawls; a fixture sets it for all jobs of a test.
    threads = 1
    #: Options in place of those of processes.
    other_engine: tuple[str, ...] = ()

    def __init__(
        self, folder: Path, lab: Lab, source: str = "", *, pages: int | None = None, file: str = "films.py"
    ) -> None:
        self.folder = folder
        self.lab = lab
        self.file = file
        self.journal = folder / "films.db"
        self.output = folder / "films.jsonl"
        self.method = "forkserver"
        self.starts: list[Start] = []
        pages = pages or lab.catalogue.pages
        folder.mkdir(exist_ok=True)
        (folder / file).write_text((source or spider()).replace("BASE", lab.named_url).replace("PAGES", str(pages)))
        lab.write_proxies(folder / "proxies.txt")

    @property
    def engine(self) -> tuple[str, ...]:
        """The options that say what carries its workers."""
        return self.other_engine or ("--threads", str(self.threads), "--start-method", self.method)

    def crawl(self, *options: str, under: str = "") -> Start:
        """Begin the run; `under` is Python that the process runs first, for limits of its own."""
        words = ["crawl", self.file, "-p", "proxies.txt", "-j", "films.db", "-o", "films.jsonl"]
        return self._start([*words, *self.engine, *options], under)

    def resume(self, *options: str, under: str = "") -> Start:
        """Go on with the run; begin it if it was ended before there was a journal."""
        if not self.journal.exists():
            return self.crawl(*options, under=under)
        return self._start(["resume", "films.db", *options], under)

    def _start(self, words: list[str], under: str) -> Start:
        # As the installed command does it.
        code = f"{under}\nfrom pinpool.cli import main\nmain()"
        command = [sys.executable, "-c", code, *words]
        start = Start(command, self.folder, f"start-{len(self.starts)}")
        self.starts.append(start)
        return start

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Any other command, to its end."""
        command = [sys.executable, "-m", "pinpool", *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # a page sample is in the encoding of its site
            timeout=PATIENCE,
            check=False,
        )

    def failures(self) -> dict[str, dict[str, Any]]:
        """What `pinpool failures --json` says, by URL."""
        return {one["url"]: one for one in json.loads(self.ask("failures", "films.db", "--json").stdout)}

    def written(self) -> list[str]:
        """The lines of the output file."""
        return self.output.read_text().splitlines() if self.output.exists() else []

    def lost(self, *, but: frozenset[str] = frozenset()) -> set[str]:
        """Films that the journal or the output file lack, or have wrong; those of `but` must be in neither."""
        right = {(url, film.title, film.directors) for url, film in self._films().items() if url not in but}
        return {entry[0] for found in self._found() for entry in right ^ set(found)}

    def twice(self) -> set[str]:
        """Films that are in the journal, or in the output file, more than once."""
        return {url for found in self._found() for (url, _, _), times in Counter(found).items() if times > 1}

    def shared(self) -> dict[str, int]:
        """Proxies that two workers have used at once, by the proxies' own books."""
        return {proxy.label: proxy.max_users for proxy in self.lab.proxies if proxy.max_users > 1}

    def complete(self, *, but: frozenset[str] = frozenset()) -> None:
        """Nothing lost, nothing twice, no proxy shared, nothing past the proxies, and `verify` proves it."""
        verified = self.ask("verify", "films.db", "--json")
        coverage = json.loads(verified.stdout)
        assert (self.lost(but=but), self.twice()) == (set(), set())
        assert (self.shared(), self.lab.direct) == ({}, 0)
        assert (coverage["open"], coverage["orphans"], coverage["duplicates"]) == (0, 0, 0), coverage
        assert (coverage["failed"], verified.returncode) == (len(but), 3 if but else 0), coverage

    def _films(self) -> dict[str, Film]:
        return self.lab.films(self.lab.named_url)

    def _found(self) -> list[list[tuple[str, str, tuple[str, ...]]]]:
        """What the journal holds, and what the file holds."""
        both = [list(Run(self.journal).items()), [json.loads(line) for line in self.written()]]
        return [[(item["url"], item["title"], tuple(item["directors"])) for item in items] for items in both]


@contextmanager
def job(folder: Path, lab: Lab, source: str = "", **options: Any) -> Iterator[Job]:
    """A job whose starts have all left nobody behind at the end."""
    made = Job(folder, lab, source, **options)
    try:
        yield made
        for start in made.starts:
            start.leaves_nobody()
    finally:
        for start in made.starts:
            start.sweep()
