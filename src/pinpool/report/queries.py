"""What a report asks of a journal, in one reading: from the file to `RunData`."""

from collections.abc import Iterator
from itertools import groupby, islice, pairwise
from operator import itemgetter
from pathlib import Path

from pinpool.journal.reader import Reader
from pinpool.journal.records import RunInfo, read_settings
from pinpool.journal.verify import coverage
from pinpool.model import EventKind
from pinpool.report.harvest import StoredItem, harvest_of
from pinpool.report.run_data import RunData, SlowPage, StageTasks, Totals
from pinpool.report.timeline import Gap, Strip, TimeAxis, between_starts, pauses, strip
from pinpool.stats.columns import stats_document
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
        if run.starts < 2:
            return TimeAxis(run.started, end)
        starts = [at for (at,) in self.rows("SELECT at FROM events WHERE kind = ? ORDER BY id", (EventKind.RULES,))]
        if len(starts) != run.starts:
            return TimeAxis(run.started, end, self._longest_gaps(run, end))
        attempts = self.rows("SELECT at, at + seconds FROM attempts ORDER BY id")
        return TimeAxis(run.started, end, between_starts(run.started, starts[1:], attempts))

    def _longest_gaps(self, run: RunInfo, end: float) -> list[Gap]:
        """The pauses of a journal that older versions wrote: they did not note their starts."""
        longest_gaps = self.rows(
            "SELECT earlier, at FROM (SELECT lag(at) OVER (ORDER BY id) AS earlier, at FROM attempts)"
            f" WHERE at > earlier ORDER BY at - earlier DESC LIMIT {run.starts - 1:d}"
        )
        return pauses(longest_gaps, run.starts, end - run.started - run.seconds)

    def stored_items(self) -> Iterator[StoredItem]:
        """Every item, in the order in which they were stored."""
        rows = self.rows("SELECT stage, items.data, ended FROM items JOIN tasks ON tasks.id = task ORDER BY items.id")
        yield from map(StoredItem._make, rows)

    def stages(self) -> list[StageTasks]:
        """The tasks of each stage, in the order in which the stages began."""
        states = ", ".join(f"sum(state = '{state}')" for state in ("done", "gone", "failed", "waiting"))
        rows = self.rows(
            f"SELECT stage, count(*), {states}, sum(attempts), sum(items_n), sum(children_n),"
            " min(CASE WHEN items_n > 0 THEN url END) FROM tasks GROUP BY stage ORDER BY min(id)"
        )
        return [StageTasks._make(row) for row in rows]

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
        harvest = harvest_of(reader.stored_items(), totals.axis)
        for stage in harvest:
            totals.add_items(stage.items)
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
            harvest=harvest,
            stages=reader.stages(),
            samples={sample.stage: sample.id for sample in reader.page_samples()},
            starved="; ".join(reader.last(EventKind.STARVED).splitlines()),
            advice=advice_after(document, utilization, used, read_settings(run.settings).address),
        )
