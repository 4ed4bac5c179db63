"""What a report asks of a journal, in one reading: from the file to `RunData`."""

from itertools import groupby, islice, pairwise
from operator import itemgetter
from pathlib import Path

from pinpool.journal.reader import Reader
from pinpool.journal.records import RunInfo
from pinpool.journal.verify import coverage
from pinpool.model import EventKind
from pinpool.report.run_data import RunData, SlowPage, Totals
from pinpool.report.timeline import Gap, Strip, TimeAxis, pauses, strip
from pinpool.stats.columns import stats_document
from pinpool.stats.fields import fields_filled
from pinpool.stats.recommendation import advice_after
from pinpool.stats.resources import Usage, Utilization

SLOWEST = 15  # pages that a report lists
GIVEN_UP = 50  # tasks that a report lists; `pinpool failures` lists all


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
        return TimeAxis(run.started, end, pauses(longest_gaps, starts, idle))

    def strips(self, axis: TimeAxis) -> dict[int, Strip]:
        """The states of each proxy over time, by its id."""
        rows = self.rows("SELECT proxy, at, kind FROM events WHERE proxy IS NOT NULL ORDER BY proxy, id")
        return {
            proxy: strip(axis, [(at, kind) for _, at, kind in moves])
            for proxy, moves in groupby(rows, key=itemgetter(0))
        }

    def silences(self, axis: TimeAxis) -> list[Gap]:
        """When the whole site did not answer, from and to. The last one may go on."""
        rows = self.rows(
            f"SELECT kind, at FROM events WHERE kind IN ('{EventKind.PAUSED}', '{EventKind.CONTINUED}') ORDER BY id"
        )
        changes = [next(same) for _, same in groupby(rows, key=itemgetter(0))]
        ends = pairwise([*changes, (EventKind.CONTINUED, axis.end)])
        return [(since, max(since, at)) for (kind, since), (_, at) in ends if kind == EventKind.PAUSED]

    def slowest(self) -> list[SlowPage]:
        """The pages that took longest, the slowest first."""
        rows = self.rows(
            "SELECT seconds, size, stage, url, label FROM"
            f" (SELECT * FROM attempts WHERE ending IN ('ok', 'gone') ORDER BY seconds DESC LIMIT {SLOWEST}) AS late"
            " JOIN tasks ON tasks.id = task LEFT JOIN proxies ON proxies.id = proxy ORDER BY seconds DESC"
        )
        return [SlowPage(*row) for row in rows]

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
        run = reader.run_info()
        totals = Totals(reader.axis(run))
        for row in reader.attempts():
            totals.add(row)
        proxies, pins, checked = reader.proxies(), reader.pins(), coverage(reader)
        found = reader.run_yield()
        utilization = Utilization.parse(reader.last(EventKind.WORKED))
        used = Usage.parse(reader.last(EventKind.MEASURED))
        document = stats_document(run, proxies, totals.histories, pins)
        return RunData(
            journal=str(journal),
            run=run,
            proxies=proxies,
            pins=pins,
            strips=reader.strips(totals.axis),
            totals=totals,
            slowest=reader.slowest(),
            given_up=list(islice(reader.failures(), GIVEN_UP)),
            faults_of_failed=reader.faults_of_failed(),
            complete=checked.complete,
            # That tasks are open or failed, or yielded nothing, is no fault of the journal.
            damage=[
                problem
                for problem in checked.problems[: len(checked.problems) - bool(checked.open) - bool(checked.failed)]
                if problem not in found.problems()
            ],
            silences=reader.silences(totals.axis),
            found=found,
            fields=fields_filled(reader.items()),
            samples={sample.stage: sample.id for sample in reader.page_samples()},
            starved="; ".join(reader.last(EventKind.STARVED).splitlines()),
            advice=advice_after(document, utilization, used),
        )
