"""
The figures of a run as a file for Prometheus: the textfile format of its node exporter, with the names of `stats`.

They are folded from the journal as `stats` does it, but each time only what is new, so that the work does not grow
with the run; what is charged and forgiven is counted anew, and in a very long run less often. The format is defined in
https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import JournalError, SettingsError
from pinpool.files import refusal, replacing
from pinpool.journal.reader import Reader
from pinpool.journal.records import Place, ProxyRow
from pinpool.model import ProxyState
from pinpool.stats.figures import ProxyFigures
from pinpool.stats.snapshot import Snapshot
from pinpool.text import shown_path

PERIOD_SECONDS = 5.0
#: Ten thousand proxies are a third of a second of work, which then comes less often: at most a fiftieth of the time.
_SHARE = 50
_BEGINNING = b"# HELP pinpool_"
_RUN_STATES = ("running", "complete", "interrupted", "starved")

Sample = tuple[Mapping[str, str], float]


class Family(NamedTuple):
    """One metric: its name without ``pinpool_``, its kind (counter or gauge), what it is, and its samples."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


class Metrics:
    """
    Keeps `path` up to date while the run of `journal` goes on. `tell` hears, once, that the file cannot be written.

    Raises SettingsError if it could never be: its folder is missing, or it is a file of another kind.
    """

    def __init__(self, path: Path, journal: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self._path = path
        self._journal = journal
        self._tell = tell
        self._said = False
        self._next = 0.0
        self._place = Place()
        self._items = 0
        self._figures: dict[str, ProxyFigures] = {}
        self._pins: dict[str, int] = {}
        self._charges: dict[str, tuple[int, int]] = {}  # charged, forgiven
        self._next_charges = 0.0
        self._check()
        if path.suffix != ".prom":
            tell(f"--metrics {shown_path(path)}: the node exporter reads only files that end in .prom")

    def __repr__(self) -> str:
        return f"<Metrics {self._path}>"

    def __call__(self, view: Snapshot) -> None:
        """Write the file if it is time to. Never raises."""
        start = time.monotonic()
        if start < self._next:
            return
        tasks = {
            "done": view.ended - view.gone - view.failed,
            "gone": view.gone,
            "failed": view.failed,
            "waiting": view.known - view.ended - view.in_flight,
            "in_flight": view.in_flight,
        }
        self._write(lambda reader: tasks, _activities(view))
        took = time.monotonic() - start
        self._next = start + max(PERIOD_SECONDS, _SHARE * took)

    def finish(self) -> None:
        """The last word, when the journal has the run's end. Never raises."""
        self._next_charges = 0.0
        self._write(lambda reader: reader.run_info(time.time()).tasks, dict.fromkeys(_activities(None), 0))

    def _write(self, tasks: Callable[[Reader], Mapping[str, int]], activities: Mapping[str, int]) -> None:
        try:
            with Reader(self._journal) as reader:
                self._fold(reader)
                families = [
                    *self._of_the_run(reader, tasks(reader), activities),
                    *self._of_the_proxies(reader),
                ]
            self._replace(exposition(families, {"run": self._journal.stem}))
        except (OSError, JournalError, SettingsError) as error:
            if not self._said:
                self._said = True
                why = error.strerror if isinstance(error, OSError) else error
                self._tell(f"--metrics {shown_path(self._path)}: {why}: the run goes on without")

    def _fold(self, reader: Reader) -> None:
        labels = {proxy.id: proxy.label for proxy in reader.proxies()}
        before, self._place = self._place, reader.place()
        for row in reader.attempts(before.attempt):
            if row.proxy in labels:
                self._figures.setdefault(labels[row.proxy], ProxyFigures()).add(row)
        for proxy, pins in reader.pins(before.event).items():
            if proxy in labels:
                self._pins[labels[proxy]] = self._pins.get(labels[proxy], 0) + pins
        self._items += reader.items_since(before.item)
        self._recount(reader, labels)

    def _recount(self, reader: Reader, labels: Mapping[int, str]) -> None:
        """What is held against whom changes for old attempts as well. So all are counted, and that comes less often."""
        start = time.monotonic()
        if start < self._next_charges:
            return
        self._charges = {}
        for proxy, charged, forgiven in reader.charges():
            if proxy in labels:
                before = self._charges.get(labels[proxy], (0, 0))
                self._charges[labels[proxy]] = (before[0] + charged, before[1] + forgiven)
        self._next_charges = start + _SHARE * (time.monotonic() - start)

    def _of_the_run(
        self, reader: Reader, tasks: Mapping[str, int], activities: Mapping[str, int]
    ) -> Iterator[Family]:
        run = reader.pulse()
        yield Family(
            "run_state", "gauge", "1 for the state of the run.", _one_hot(_RUN_STATES, run.state, {})
        )
        yield _single(
            "run_seconds", "gauge", "Seconds that the run has taken, all starts together.", run.seconds
        )
        yield _single(
            "heartbeat_timestamp_seconds", "gauge", "When the run last showed a sign of life.", run.heartbeat
        )
        by_state: list[Sample] = [({"state": state}, count) for state, count in tasks.items()]
        yield Family("tasks", "gauge", "Tasks by state.", by_state)
        yield _single(
            "pages", "counter", "Tasks that were answered: done and gone.", tasks["done"] + tasks["gone"]
        )
        yield _single("items", "counter", "Items stored.", self._items)
        doing: list[Sample] = [({"activity": activity}, count) for activity, count in activities.items()]
        yield Family("workers", "gauge", "Worker processes by what they do.", doing)
        yield _single("worker_losses", "counter", "Worker processes that died.", run.worker_losses)
        yield _single("pool_rebuilds", "counter", "Times that the pool was built anew.", run.pool_rebuilds)

    def _of_the_proxies(self, reader: Reader) -> Iterator[Family]:
        rows = _by_label(reader.proxies(), self._figures)
        known = {label: self._figures.get(label, ProxyFigures()) for label in rows}

        def each(figure: Callable[[ProxyFigures], float]) -> list[Sample]:
            return [({"proxy": label}, figure(figures)) for label, figures in known.items()]

        yield Family(
            "proxy_attempts", "counter", "Attempts through the proxy.", each(lambda one: one.attempts)
        )
        yield Family("proxy_ok", "counter", "Attempts that gave a page.", each(lambda one: one.ok))
        yield Family("proxy_gone", "counter", "Attempts answered by 404 or 410.", each(lambda one: one.gone))
        yield Family("proxy_failed", "counter", "Attempts that failed.", each(lambda one: one.failed))
        faults: list[Sample] = [
            ({"proxy": label, "fault": fault}, count)
            for label, figures in known.items()
            for fault, count in sorted(figures.faults.items())
        ]
        yield Family("proxy_faults", "counter", "Failed attempts by fault.", faults)
        held: list[Sample] = [({"proxy": label}, self._charges.get(label, (0, 0))[0]) for label in rows]
        yield Family("proxy_charged", "gauge", "Failures held against the proxy.", held)
        forgiven: list[Sample] = [({"proxy": label}, self._charges.get(label, (0, 0))[1]) for label in rows]
        yield Family("proxy_forgiven", "gauge", "Failures that were, and no longer are.", forgiven)
        yield Family(
            "proxy_bytes",
            "counter",
            "Bytes of bodies, as they came over the wire.",
            each(lambda one: one.bytes),
        )
        busy = each(lambda one: one.busy_seconds)
        yield Family("proxy_busy_seconds", "counter", "Seconds that the attempts took.", busy)
        pins: list[Sample] = [({"proxy": label}, self._pins.get(label, 0)) for label in rows]
        yield Family("proxy_pins", "counter", "Times that a worker took the proxy.", pins)
        latencies: list[Sample] = [
            ({"proxy": label, "quantile": f"{share:g}"}, seconds)
            for label, figures in known.items()
            for share in (0.5, 0.95)
            if (seconds := figures.latencies.percentile(share)) is not None
        ]
        yield Family("proxy_latency_seconds", "gauge", "Seconds until an attempt was answered.", latencies)
        states = [
            sample
            for label, row in rows.items()
            for sample in _one_hot(ProxyState, row.state, {"proxy": label})
        ]
        yield Family("proxy_state", "gauge", "1 for the state of the proxy.", states)

    def _check(self) -> None:
        if problem := refusal(self._path, _BEGINNING):
            raise SettingsError(f"--metrics {shown_path(self._path)}: {problem}")

    def _replace(self, text: str) -> None:
        if problem := refusal(self._path, _BEGINNING):
            raise SettingsError(problem)
        with replacing(self._path, durable=False) as part:
            part.write_text(text, encoding="utf-8", errors="replace")


def exposition(families: Iterable[Family], common: Mapping[str, str]) -> str:
    """The families as text; `common` are labels of every sample. Families without samples are left out."""
    lines = []
    for family in families:
        if not family.samples:
            continue
        name = f"pinpool_{family.name}" + ("_total" if family.kind == "counter" else "")
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
        for labels, value in family.samples:
            told = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**common, **labels}.items())
            lines.append(f"{name}{{{told}}} {value!r}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _single(name: str, kind: str, help_: str, value: float) -> Family:
    return Family(name, kind, help_, [({}, value)])


def _one_hot(states: Iterable[str], state: str, labels: Mapping[str, str]) -> list[Sample]:
    return [({**labels, "state": str(one)}, int(one == state)) for one in states]


def _by_label(proxies: Iterable[ProxyRow], figures: Mapping[str, ProxyFigures]) -> dict[str, ProxyRow]:
    """
    One proxy for each label: two samples of one name and the same labels would spoil the file for Prometheus. A proxy
    whose password has changed is there twice, and the one that is listed says how it stands.
    """
    by_label: dict[str, ProxyRow] = {}
    for proxy in proxies:
        if proxy.listed or (proxy.label in figures and proxy.label not in by_label):
            by_label[proxy.label] = proxy
    return by_label


def _activities(view: Snapshot | None) -> dict[str, int]:
    if view is None:
        return dict.fromkeys(("fetching", "pacing", "parked", "idle"), 0)
    census = view.census
    idle = max(0, census.workers - census.running - census.pacing - census.parked)
    return {"fetching": census.running, "pacing": census.pacing, "parked": census.parked, "idle": idle}
