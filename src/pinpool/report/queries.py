"""What a report asks of a journal, in one reading: from the file to an account."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pinpool.journal.reader import Reader, failure_document
from pinpool.journal.records import RunInfo
from pinpool.journal.verify import coverage
from pinpool.model import EventKind
from pinpool.report.run_data import GivenUp, RunData, Totals
from pinpool.report.timeline import Clock, Gap, Strip, pauses, strip
from pinpool.stats.figures import stats_document
from pinpool.stats.recommendation import advise
from pinpool.stats.resources import parse_used
from pinpool.stats.utilization import Utilization

GIVEN_UP = 50  # tasks that a report lists; `pinpool failures` has them all
LONGEST_TEXT = 2000  # characters of one URL; a page may link to megabytes


class Survey(Reader):
    """A journal as it stands, asked for what a report needs beyond figures. Raises as `Reader` does."""

    def clock(self, run: RunInfo) -> Clock:
        """The time of the run so far, its pauses cut out."""
        last = next(self.rows("SELECT at + seconds FROM attempts ORDER BY id DESC LIMIT 1"), (run.started,))[
            0
        ]
        end = max(run.ended or run.heartbeat, last)
        starts = max(run.starts, 1)
        return Clock(
            run.started, end, pauses(self._gaps(starts - 1), starts, end - run.started - run.seconds)
        )

    def _gaps(self, count: int) -> list[Gap]:
        """The longest times between the beginnings of two attempts."""
        if not count:
            return []
        return list(
            self.rows(
                "SELECT earlier, at FROM (SELECT lag(at) OVER (ORDER BY id) AS earlier, at FROM attempts)"
                f" WHERE at > earlier ORDER BY at - earlier DESC LIMIT {count:d}"
            )
        )

    def strips(self, clock: Clock) -> dict[int, Strip]:
        """Where each proxy stood over time, by its id."""
        rows = self.rows("SELECT proxy, at, kind FROM events WHERE proxy IS NOT NULL ORDER BY proxy, id")
        return {
            proxy: strip(clock, [(at, kind) for _, at, kind in moves])
            for proxy, moves in groupby(rows, key=itemgetter(0))
        }

    def silences(self, clock: Clock) -> list[Gap]:
        """When the whole site did not answer, from and to; the last may go on."""
        found, since = [], None
        for at, kind in self.rows(
            f"SELECT at, kind FROM events WHERE kind IN ('{EventKind.PAUSED}', '{EventKind.CONTINUED}') ORDER BY id"
        ):
            if kind == EventKind.PAUSED:
                since = at if since is None else since
            elif since is not None:
                found.append((since, at))
                since = None
        return found if since is None else [*found, (since, max(clock.end, since))]

    def urls(self, tasks: Collection[int]) -> dict[int, tuple[str, str]]:
        """(stage, URL) of these tasks, by id."""
        wanted = ", ".join(str(int(task)) for task in tasks)
        query = f"SELECT id, stage, substr(url, 1, {LONGEST_TEXT}) FROM tasks WHERE id IN ({wanted})"
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

    def page_of_first_failure(self) -> int | None:
        """The id of the page sample for the first of the tasks that failed for good."""
        first = next(self.failures(), None)
        return failure_document(first)["page"] if first else None

    def faults_of_failed(self) -> dict[str, int]:
        """How many tasks failed for good, by the fault of their last attempt."""
        return dict(
            self.rows(
                "SELECT coalesce(fault, 'unknown'), count(*) FROM tasks"
                " LEFT JOIN attempts ON attempts.task = tasks.id AND n = tasks.attempts"
                " WHERE tasks.state = 'failed' GROUP BY 1 ORDER BY 2 DESC"
            )
        )


def account(journal: Path, now: float) -> RunData:
    """The account of the run in `journal`, as it stands `now` (epoch seconds). Raises JournalError."""
    with Survey(journal) as survey:
        run = survey.run_info(now)
        totals = Totals(survey.clock(run))
        for row in survey.attempts():
            totals.add(row)
        proxies, pins, checked = survey.proxies(), survey.pins(), coverage(survey)
        figures = {proxy: ledger.figures for proxy, ledger in totals.ledgers.items()}
        sheet = Utilization.parse(survey.last(EventKind.WORKED))
        used = parse_used(survey.last(EventKind.MEASURED))
        told = stats_document(run, proxies, figures, pins)
        return RunData(
            journal=str(journal),
            run=run,
            proxies=proxies,
            pins=pins,
            strips=survey.strips(totals.clock),
            totals=totals,
            urls=survey.urls({page.task for page in totals.slowest}),
            given_up=survey.given_up(),
            faults_of_failed=survey.faults_of_failed(),
            complete=checked.complete,
            # That tasks are open or failed is said last, and is no fault of the journal.
            damage=checked.problems[: len(checked.problems) - bool(checked.open) - bool(checked.failed)],
            silences=survey.silences(totals.clock),
            advice=advise(told, sheet, used.load if used else None) if sheet else "",
            page=survey.page_of_first_failure(),
        )
