"""
Journals for tests. Run as a program, a writer that waits to be killed: ``journals.py JOURNAL [OUTPUT]``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from pinpool.journal.records import About, Settlement
from pinpool.journal.schema import APPLICATION_ID, MIGRATIONS
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Evidence, Fault, Outcome, Sign, Step, Task, TaskState
from pinpool.output.outputs import Outputs
from pinpool.output.target import parse_target

START = 1_700_000_000.0
ABOUT = About("movies", "movies.py", "0.1", 6, "processes", "forkserver", "{}", "proxies.txt", b"salt")
LABELS = ("http://alice@192.0.2.1:8080", "socks5h://192.0.2.2:1080")
SEEDS = 40
DETAILS = 10


def task(name: str, stage: str = "detail") -> Task:
    url = f"http://films.example/{stage}/{name}"
    return Task(stage, url, hashlib.blake2b(url.encode(), digest_size=16).digest())


def item(name: str) -> str:
    return json.dumps({"title": name})


def answered(*items: str, tasks: tuple[Task, ...] = (), ending: Ending = Ending.OK, proxy: int = 1) -> Outcome:
    return Outcome(1, 7, proxy, ending, START, 0.25, 200, 1000, items=items, tasks=tasks)


def failed(proxy: int = 1, message: str = "no answer") -> Outcome:
    evidence = Evidence(Step.HEAD, Sign.TIMEOUT, message)
    return Outcome(1, 7, proxy, Ending.FAILED, START, 5.0, evidence=evidence)


def overtaken(proxy: int = 1) -> Outcome:
    return Outcome(1, 7, proxy, Ending.OVERTAKEN, START, 5.0)


def done(task_id: int, outcome: Outcome) -> Settlement:
    return Settlement(task_id, outcome, None, False, TaskState.DONE)


def put_off(task_id: int, outcome: Outcome, not_before: float | None = None) -> Settlement:
    return Settlement(task_id, outcome, Fault.TIMEOUT, True, None, None, not_before)


def given_up(task_id: int, outcome: Outcome, reason: str = "timeout on 2 proxies") -> Settlement:
    return Settlement(task_id, outcome, Fault.TIMEOUT, True, TaskState.FAILED, reason)


def new_journal(path: Path, *seeds: Task) -> Journal:
    """A journal with two proxies (ids 1 and 2) and these seeds (ids from 1 on)."""
    journal = Journal.create(path, ABOUT, START, seeds)
    journal.enroll([(label, "abcd") for label in LABELS])
    return journal


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query finds in the file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def damage(path: Path, *statements: str) -> None:
    """What a hand, a bad disk or a bug could do: no foreign keys, no transactions of ours."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def whole_run(path: Path) -> None:
    """
    Ids: list page 1; films 2, 3 and 4 behind it; 2 gives two items, 3 is gone, 4 one item at the second try.
    """
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(done(1, answered(tasks=(task("a"), task("b"), task("c")))), START + 1)
        journal.settle(done(2, answered(item("a"), item("a, the sequel"))), START + 2)
        gone = answered(ending=Ending.GONE, proxy=2)
        journal.settle(Settlement(3, gone, None, False, TaskState.GONE), START + 3)
        journal.settle(put_off(4, failed()), START + 4)
        journal.settle(done(4, answered(item("c"), proxy=2)), START + 5)
        journal.finish("complete", START + 6)


def make_older(path: Path, version: int) -> None:
    """Make a journal again as a pinpool of this version would have made it: without what newer ones have."""
    old, new = sqlite3.connect(path.with_name("older")), sqlite3.connect(path)
    with closing(old), closing(new):
        for statement in (statement for step in MIGRATIONS[:version] for statement in step):
            old.execute(statement)
        for (table,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(column for _, column, *_ in old.execute(f"PRAGMA table_info({table})"))
            kept = new.execute(f"SELECT {columns} FROM {table}").fetchall()
            old.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * (columns.count(',') + 1))})", kept)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {version}")
        old.commit()
    path.with_name("older").replace(path)


def work(journal: Journal, output: str | None) -> None:
    """
    Settle whatever waits, each list page with ten films behind it, and say after each commit how many are
    durable.
    """
    with Outputs(journal, [parse_target(output)] if output else ()) as outputs:
        settled = sum(journal.task_counts().values()) - journal.task_counts()[TaskState.WAITING]
        while rows := journal.waiting(True, 0, 1) or journal.waiting(False, 0, 1):
            waiting = rows[0]
            name = waiting.task.url.rpartition("/")[2]
            links = tuple(task(f"{name}-{n}") for n in range(DETAILS)) if waiting.task.stage == "index" else ()
            journal.settle(done(waiting.id, answered(*(() if links else (item(name),)), tasks=links)), time.time())
            settled += 1
            if journal.pending >= 5:
                journal.commit()
                outputs.advance()
                print(settled, flush=True)  # noqa: T201
        outputs.finish()


def killed_writer(path: Path, rng: Random, output: Path | None = None) -> int:
    """
    Kill a writer with signal 9 at a random moment; returns how many tasks it had said to be durable by then.
    """
    command = [sys.executable, __file__, str(path), *([str(output)] if output else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(rng.randint(1, 60))]
        for _ in range(rng.randint(0, 100_000)):
            pass  # a moment that lies between two commits as likely as at one
        writer.kill()
        said += writer.stdout.readlines()
    whole = [line for line in said if line.endswith("\n")]
    assert whole, "the writer did not come as far as its first commit"
    return int(whole[-1])


def finish_work(path: Path, output: Path | None = None) -> None:
    """Go on where a killed writer stopped, to the end."""
    with Journal.open(path) as journal, open(os.devnull, "w") as nowhere:  # noqa: PTH123
        journal.resume(ABOUT, START)
        keep, sys.stdout = sys.stdout, nowhere
        try:
            work(journal, str(output) if output else None)
        finally:
            sys.stdout = keep
        journal.finish("complete", START)


if __name__ == "__main__":
    with new_journal(Path(sys.argv[1]), *(task(str(n), "index") for n in range(SEEDS))) as fresh:
        work(fresh, sys.argv[2] if len(sys.argv) > 2 else None)
