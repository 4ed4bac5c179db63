"""
The figures of a run as a file for Prometheus: the textfile format of its node exporter, with the names of `stats`.

Each time only the new rows of the journal are read, so that the work does not grow with the run. The format is defined
in https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import JournalError, SettingsError
from pinpool.files import refusal, replacing
from pinpool.journal.reader import Reader
from pinpool.journal.records import Place, ProxyRow
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.pool.engine import Census
from pinpool.stats.columns import COLUMNS, Sample, Subject, labelled, one_hot
from pinpool.stats.figures import ProxyFigures
from pinpool.stats.snapshot import Snapshot
from pinpool.text import shown_path

PERIOD_SECONDS = 5.0
#: At most a fiftieth of the time goes into writing: 10,000 proxies take a third of a second, so they come less often.
SHARE = 50
_BEGINNING = b"# HELP pinpool_"
_RUN_STATES = ("running", "complete", "interrupted", "starved", "stopped", "limited")


class Family(NamedTuple):
    """One metric: its name without ``pinpool_``, its kind (counter or gauge), what it is, and its value or samples."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample] | float


class Metrics:
    """
    Keeps the file at `path` up to date during the run of `journal`. `tell` gets one line if that ever fails.

    Raises SettingsError if the file can never be written: its folder is missing, or it holds something else.
    """

    def __init__(
        self,
        path: Path,
        journal: Path,
        tell: Callable[[str], None] = lambda line: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._path = path
        self._journal = journal
        self._tell = tell
        self._clock = clock
        self._failed = False
        self._next_write = self._next_recount = 0.0
        # What was read so far, by the proxies' labels; None for attempts without a proxy.
        self._place = Place()
        self._figures: defaultdict[str | None, ProxyFigures] = defaultdict(ProxyFigures)
        self._pins: Counter[str | None] = Counter()
        if problem := refusal(path, _BEGINNING):
            raise SettingsError(f"--metrics {shown_path(path)}: {problem}")
        if path.suffix != ".prom":
            tell(f"--metrics {shown_path(path)}: the node exporter reads only files that end in .prom")

    def __call__(self, snapshot: Snapshot) -> None:
        """Write the file if it is time to. Never raises."""
        start = self._clock.monotonic()
        if start >= self._next_write:
            self._write(snapshot)
            self._next_write = start + max(PERIOD_SECONDS, SHARE * (self._clock.monotonic() - start))

    def finish(self) -> None:
        """Write the file for the last time, once the journal has the run's end. Never raises."""
        self._next_recount = 0.0
        self._write(None)

    def _write(self, snapshot: Snapshot | None) -> None:
        try:
            with Reader(self._journal) as reader:
                proxies = reader.proxies()
                self._read_on(reader, {proxy.id: proxy.label for proxy in proxies})
                families = [*self._run_families(reader, snapshot), *self._proxy_families(proxies)]
            if problem := refusal(self._path, _BEGINNING):
                raise SettingsError(problem)
            text = exposition(families, {"run": self._journal.stem})
            with replacing(self._path, durable=False) as part:
                part.write_text(text, encoding="utf-8", errors="replace")
        except (OSError, JournalError, SettingsError) as error:
            if not self._failed:
                self._failed = True
                why = error.strerror if isinstance(error, OSError) else error
                self._tell(f"--metrics {shown_path(self._path)}: {why}: the run goes on without")

    def _read_on(self, reader: Reader, labels: Mapping[int | None, str]) -> None:
        """Add what is new in the journal, or all of it if the last reading failed halfway."""
        before, self._place = self._place, Place()
        if before == Place():
            self._figures.clear()
            self._pins.clear()
        for row in reader.attempts(before.attempt):
            self._figures[labels.get(row.proxy)].add(row)
        for proxy, pins in reader.pins(before.event).items():
            self._pins[labels.get(proxy)] += pins
        self._place = reader.place()
        self._recount(reader, labels)

    def _recount(self, reader: Reader, labels: Mapping[int | None, str]) -> None:
        """Count what is charged and forgiven again, less often in a long run: it may be forgiven much later."""
        start = self._clock.monotonic()
        if start < self._next_recount:
            return
        for figures in self._figures.values():
            figures.charged = figures.forgiven = 0
        for proxy, charged, forgiven in reader.charges():
            figures = self._figures[labels.get(proxy)]
            figures.charged += charged
            figures.forgiven += forgiven
        self._next_recount = start + SHARE * (self._clock.monotonic() - start)

    def _run_families(self, reader: Reader, snapshot: Snapshot | None) -> Iterator[Family]:
        tasks = snapshot.tasks if snapshot else reader.run_info().tasks
        run, census = reader.pulse(), snapshot.census if snapshot else Census()
        yield Family("run_state", "gauge", "1 for the state of the run.", one_hot(_RUN_STATES, run.state))
        yield Family("run_seconds", "gauge", "Seconds that the run has taken, all starts together.", run.seconds)
        beat = "When the run last showed a sign of life."
        yield Family("heartbeat_timestamp_seconds", "gauge", beat, run.heartbeat)
        yield Family("tasks", "gauge", "Tasks by state.", labelled("state", tasks))
        answered = tasks["done"] + tasks["gone"]
        yield Family("pages", "counter", "Tasks that were answered: done and gone.", answered)
        # Items are never removed.
        yield Family("items", "counter", "Items stored.", self._place.item)
        doing = {
            "fetching": census.running,
            "pacing": census.pacing,
            "parked": census.parked,
            "idle": census.idle,
        }
        by_activity = labelled("activity", doing)
        yield Family("workers", "gauge", "Workers by what they do.", by_activity)
        yield Family("worker_losses", "counter", "Workers that died.", run.worker_losses)
        yield Family("pool_rebuilds", "counter", "Times that the pool was rebuilt.", run.pool_rebuilds)

    def _proxy_families(self, proxies: Iterable[ProxyRow]) -> Iterator[Family]:
        # Two samples with one name and the same labels would spoil the file. A proxy whose password has changed is
        # in the journal twice; the listed one has its state.
        by_label = {
            proxy.label: proxy
            for proxy in sorted(proxies, key=lambda proxy: proxy.listed)
            if proxy.listed or proxy.label in self._figures
        }
        subjects = [
            Subject(proxy, self._figures.get(label, ProxyFigures()), self._pins[label])
            for label, proxy in by_label.items()
        ]
        for column in COLUMNS:
            if metric := column.metric:
                samples = [
                    ({"proxy": of.proxy.label, **labels}, value)
                    for of in subjects
                    for labels, value in (metric.samples(of) if metric.samples else [({}, column.shown(of))])
                ]
                yield Family(f"proxy_{metric.name or column.name}", metric.kind, metric.help, samples)


def exposition(families: Iterable[Family], common: Mapping[str, str]) -> str:
    """The families as text; `common` are labels of every sample. Families without samples are left out."""
    lines = []
    for family in families:
        samples = family.samples if isinstance(family.samples, Sequence) else [({}, family.samples)]
        if not samples:
            continue
        name = f"pinpool_{family.name}" + ("_total" if family.kind == "counter" else "")
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
        for labels, value in samples:
            pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**common, **labels}.items())
            lines.append(f"{name}{{{pairs}}} {value!r}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
