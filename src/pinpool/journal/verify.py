"""The proof behind `pinpool verify`: the counts that the end of each task stored, compared with the rows themselves."""

from collections import Counter
from typing import Any, NamedTuple

from pinpool.errors import JournalError
from pinpool.journal.file_rows import file_problems
from pinpool.journal.overlaps import doubts
from pinpool.journal.reader import Reader
from pinpool.journal.schema import COUNT_TASKS
from pinpool.journal.yields import run_yield
from pinpool.model import Fault
from pinpool.text import counted


class Coverage(NamedTuple):
    """
    What `verify` found; `_asdict()` is its JSON document. `complete` means that there are no problems at all.

    `orphans` counts rows whose owner is missing or did not end well, `duplicates` rows that are stored twice. `doubts`
    are no problems: what was asked for is there, but more may be on the site (see `overlaps`). `in_doubt` are pages of
    proxies that were found out, which no other proxy has given: done, and perhaps wrong.
    """

    complete: bool
    seeds: int
    tasks: int
    ended: int
    open: int
    failed: int
    orphans: int
    items: int
    duplicates: int
    problems: list[str]
    doubts: list[str]
    in_doubt: int = 0


def coverage(reader: Reader, *, hashes: bool = False) -> Coverage:
    """
    Check that every task ended exactly once, that everything its page gave is stored exactly once, and that the run has
    something in hand. Downloaded files must be in their folder, with their sizes; with `hashes` with their contents.
    """
    problems: list[str] = []

    def rows(query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """An unreadable table is a problem, and must not hide those of the others."""
        try:
            return list(reader.rows(query, values))
        except JournalError as error:
            problems.extend(problem for problem in error.problems if problem not in problems)
            return []

    path = reader.path
    damage = [text for (text,) in rows("PRAGMA integrity_check(10)") if text != "ok"]
    problems += [f"{path}: the file is damaged: {text}" for text in damage]
    found = Counter[str]()
    for (kind, row, wrong), query in CHECKS.items():
        ids = [found_id for (found_id,) in rows(query)]
        if ids:
            named = ", ".join(map(str, ids[:3])) + (", …" if len(ids) > 3 else "")
            problems.append(f"{counted(len(ids), row)} {wrong} ({row} {named})")
            found[kind] += len(ids)
    counts = dict(rows(COUNT_TASKS))
    open_, failed, tasks = counts.get("waiting", 0), counts.get("failed", 0), sum(counts.values())
    stored, items = "SELECT count(*) FROM tasks WHERE parent IS NULL", "SELECT count(*) FROM items"
    sizes = rows(f"SELECT seeds, ({stored}), ({items}) FROM run")
    seeds, stored_seeds, stored_items = sizes[0] if sizes else (0, 0, 0)
    if not seeds:
        problems.append("there are no seeds: nothing was ever asked for")
    if seeds != stored_seeds:
        problems.append(f"{counted(seeds, 'seed was', 'seeds were')} given, {stored_seeds:,} in the journal")
    in_doubt = 0
    problems += file_problems(rows, path, hashes=hashes)
    if not problems:  # damaged tables prove nothing
        problems += (found_yield := run_yield(rows)).problems()
        in_doubt = found_yield.in_doubt
    if open_:
        problems.append(f"{counted(open_, 'task is', 'tasks are')} still open: `pinpool resume {path}` goes on")
    if failed:
        problems.append(
            f"{counted(failed, 'task')} failed: `pinpool failures {path}` says why,"
            f" `pinpool retry {path}` puts them back"
        )
    doubted = doubts(rows)
    return Coverage(
        complete=not problems,
        seeds=seeds,
        tasks=tasks,
        ended=tasks - open_,
        open=open_,
        failed=failed,
        orphans=found["orphans"],
        items=stored_items,
        duplicates=found["duplicates"],
        problems=problems,
        doubts=doubted,
        in_doubt=in_doubt,
    )


#: (kind, row, what is wrong with it): a query for the ids of such rows. There must be none.
CHECKS = {
    ("orphans", "item", "of a task that is unknown or not done"): (
        "SELECT id FROM items WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = items.task AND state = 'done')"
    ),
    ("orphans", "attempt", "of an unknown task"): (
        "SELECT id FROM attempts WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = attempts.task)"
    ),
    ("orphans", "attempt", "through an unknown proxy"): (
        "SELECT id FROM attempts WHERE proxy NOT IN (SELECT id FROM proxies)"
    ),
    ("orphans", "task", "whose parent is unknown or not done"): (
        "SELECT id FROM tasks AS child WHERE parent IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = child.parent AND state = 'done')"
    ),
    ("duplicates", "item", "stored twice"): (
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY task, n ORDER BY id) AS place FROM items)"
        " WHERE place > 1"
    ),
    ("duplicates", "task", "stored twice"): (
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY key ORDER BY id) AS place FROM tasks)"
        " WHERE place > 1"
    ),
    ("duplicates", "task", "answered twice"): (
        # A page that was in doubt, and was kept, has two answers that are the same.
        "SELECT task FROM attempts WHERE ending IN ('ok', 'gone') AND NOT EXISTS ("
        " SELECT 1 FROM doubts WHERE doubts.task = attempts.task AND coalesce(verdict, '') <> 'replaced')"
        " GROUP BY task HAVING count(*) > 1"
    ),
    ("counts", "task", "whose items do not match their count"): (
        "SELECT tasks.id FROM tasks LEFT JOIN"
        " (SELECT task, count(*) AS stored, max(n) + 1 AS numbered FROM items GROUP BY task) AS own"
        " ON own.task = tasks.id WHERE items_n <> coalesce(stored, 0) OR items_n <> coalesce(numbered, 0)"
    ),
    ("counts", "task", "whose child tasks do not match their count"): (
        "SELECT tasks.id FROM tasks LEFT JOIN"
        " (SELECT parent, count(*) AS stored FROM tasks WHERE parent IS NOT NULL GROUP BY parent) AS own"
        " ON own.parent = tasks.id WHERE children_n <> coalesce(stored, 0) OR children_n > links_n"
    ),
    ("counts", "task", "whose attempts do not match their count"): (
        "SELECT tasks.id FROM tasks LEFT JOIN"
        " (SELECT task, count(*) AS stored, max(n) AS numbered FROM attempts GROUP BY task) AS own"
        " ON own.task = tasks.id WHERE attempts <> coalesce(stored, 0) OR attempts <> coalesce(numbered, 0)"
    ),
    ("endings", "task", "whose last attempt does not match how they ended"): (
        # A done task whose last attempt failed has a reason: for instance an empty list page that was believed. Or it
        # was in doubt, and nobody else had an answer.
        "SELECT tasks.id FROM tasks LEFT JOIN attempts ON task = tasks.id AND n = tasks.attempts"
        " WHERE state <> 'waiting' AND NOT coalesce(CASE state WHEN 'gone' THEN ending = 'gone'"
        " WHEN 'failed' THEN ending = 'failed'"
        " ELSE ending = 'ok' OR (ending = 'failed' AND reason IS NOT NULL) OR EXISTS ("
        "   SELECT 1 FROM doubts JOIN attempts AS first ON first.task = doubts.task AND first.ending = 'ok'"
        "   WHERE doubts.task = tasks.id AND coalesce(verdict, 'unknown') = 'unknown') END, 0)"
    ),
    ("endings", "task", "answered, but not ended"): (
        "SELECT tasks.id FROM tasks WHERE state IN ('waiting', 'failed')"
        " AND EXISTS (SELECT 1 FROM attempts WHERE task = tasks.id AND ending IN ('ok', 'gone'))"
    ),
    ("endings", "attempt", "overtaken, though no other gave the page"): (
        "SELECT id FROM attempts AS slower WHERE ending = 'overtaken'"
        " AND NOT EXISTS (SELECT 1 FROM attempts WHERE task = slower.task AND ending IN ('ok', 'gone'))"
    ),
    # Only of open tasks, which a resume judges by their faults. What has ended is proven without them, and a newer
    # pinpool may know more.
    ("endings", "attempt", "of an open task, with a fault that this pinpool does not know"): (
        "SELECT attempts.id FROM attempts JOIN tasks ON tasks.id = task WHERE state = 'waiting' AND ending = 'failed'"
        f" AND n > forgotten AND fault NOT IN ({', '.join(repr(str(fault)) for fault in Fault)})"
    ),
    ("endings", "task", "that failed without a reason"): (
        "SELECT id FROM tasks WHERE state = 'failed' AND reason IS NULL"
    ),
}
