"""What a report asks of a journal, in one reading: from the file to `RunData`."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pinpool.journal.reader import Reader
from pinpool.journal.records import RunInfo
from pinpool.journal.verify import coverage
from pinpool.model import EventKind
from pinpool.report.run_data import GivenUp, RunData, Totals
from pinpool.report.timeline import Gap, Strip, TimeAxis, pauses, strip
from pinpool.stats.columns import stats_document
from pinpool.stats.recommendation import advise
from pinpool.stats.resources import Usage
from pinpool.stats.utilization import Utilization

GIVEN_UP = 50  # tasks that a report lists; `pinpool failures` lists all
LONGEST_TEXT = 2000  # characters of one URL; a page may link to megabytes


class ReportReader(Reader):
    """Reads what a report needs beyond figures. Raises as `Reader` does."""

    def axis(self, run: RunInfo) -> TimeAxis:
        """The time of the run so far, without its pauses."""
        newest = self.rows("SELECT at + seconds FROM attempts ORDER BY id DESC LIMIT 1")
        end = max(run.ended or run.heartbeat, *next(newest, (run.started,)))
        starts = max(run.starts, 1)
        longest_gaps = self.rows(
            "SELECT earlier, at FROM (SELECT lag(at) OVER (ORDER BY id) AS earlier, at FROM attempts)"
            f" WHERE at > earlier ORDER BY at - earlier DESC LIMIT {starts - 1:d}"
        )
        idle = end - run.started - run.seconds
        return TimeAxis(run.started, end, pauses(longest_gaps, starts, idle) if starts > 1 else ())

    def strips(self, axis: TimeAxis) -> dict[int, Strip]:
        """The states of each proxy over time, by its id."""
        rows = self.rows("SELECT proxy, at, kind FROM events WHERE proxy IS NOT NULL ORDER BY proxy, id")
        return {
            proxy: strip(axis, [(at, kind) for _, at, kind in moves])
            for proxy, moves in groupby(rows, key=itemgetter(0))
        }

    def silences(self, axis: TimeAxis) -> list[Gap]:
        """When the whole site did not answer, from and to. The last one may go on."""
        found, since = [], None
        for at, kind in self.rows(
            f"SELECT at, kind FROM events WHERE kind IN ('{EventKind.PAUSED}', '{EventKind.CONTINUED}') ORDER BY id"
        ):
            if kind == EventKind.PAUSED:
                since = at if since is None else since
            elif since is not None:
                found.append((since, at))
                since = None
        return found if since is None else [*found, (since, max(axis.end, since))]

    def urls(self, tasks: Collection[int]) -> dict[int, tuple[str, str]]:
        """(stage, URL) of these tasks, by id."""
        ids = ", ".join(str(int(task)) for task in tasks)
        query = f"SELECT id, stage, substr(url, 1, {LONGEST_TEXT}) FROM tasks WHERE id IN ({ids})"
        return {task: (stage, url) for task, stage, url in self.rows(query)}

    def given_up(self) -> list[GivenUp]:
        """The first tasks that failed for good."""
        rows = self.rows(
            f"SELECT tasks.id, stage, substr(url, 1, {LONGEST_TEXT}), coalesce(reason, 'no reason is known'),"
            " tasks.attempts, (SELECT count(DISTINCT proxy) FROM attempts AS tried WHERE tried.task = tasks.id),"
            " fault, message FROM tasks LEFT JOIN attempts ON attempts.task = tasks.id AND n = tasks.attempts"
            f" WHERE tasks.state = 'failed' ORDER BY tasks.id LIMIT {GIVEN_UP}"
        )
        return [GivenUp(*row) for row in rows]

    def sample_of_first_failure(self) -> int | None:
        """The id of the page sample for the first of the tasks that failed for good."""
        first = next(self.failures(), None)
        return first["page"] if first else None

    def faults_of_failed(self) -> dict[str, int]:
        """The number of tasks that failed for good, by the fault of their last attempt."""
        return dict(
            self.rows(
                "SELECT coalesce(fault, 'unknown'), count(*) FROM tasks"
                " LEFT JOIN attempts ON attempts.task = tasks.id AND n = tasks.attempts"
                " WHERE tasks.state = 'failed' GROUP BY 1 ORDER BY 2 DESC"
            )
        )


def read_run(journal: Path, now: float) -> RunData:
    """The run in `journal` as it is `now` (epoch seconds). Raises JournalError."""
    with ReportReader(journal) as reader:
        run = reader.run_info(now)
        totals = Totals(reader.axis(run))
        for row in reader.attempts():
            totals.add(row)
        proxies, pins, checked = reader.proxies(), reader.pins(), coverage(reader)
        figures = {proxy: history.figures for proxy, history in totals.histories.items()}
        utilization = Utilization.parse(reader.last(EventKind.WORKED))
        used = Usage.parse(reader.last(EventKind.MEASURED))
        document = stats_document(run, proxies, figures, pins)
        return RunData(
            journal=str(journal),
            run=run,
            proxies=proxies,
            pins=pins,
            strips=reader.strips(totals.axis),
            totals=totals,
            urls=reader.urls({page.task for page in totals.slowest}),
            given_up=reader.given_up(),
            faults_of_failed=reader.faults_of_failed(),
            complete=checked.complete,
            # The last problems, that tasks are open or failed, are no fault of the journal.
            damage=checked.problems[: len(checked.problems) - bool(checked.open) - bool(checked.failed)],
            silences=reader.silences(totals.axis),
            advice=advise(document, utilization, used.load if used else None) if utilization else "",
            page_sample=reader.sample_of_first_failure(),
        )
