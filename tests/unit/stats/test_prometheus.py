"""The file for Prometheus: what it says, that it never says it half, and that its work does not grow with the run."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from unittest.mock import Mock

import pytest

from clocks import Periods
from commands import Desk
from journals import (
    ABOUT,
    START,
    answered,
    done,
    failed,
    given_up,
    item,
    new_journal,
    put_off,
    task,
    whole_run,
)
from pinpool import Run
from pinpool.errors import JournalError, SettingsError
from pinpool.journal.reader import Reader
from pinpool.journal.writer import Journal
from pinpool.lab import Lab
from pinpool.pool.engine import Census
from pinpool.stats.prometheus import PERIOD_SECONDS, Family, Metrics, exposition
from pinpool.stats.snapshot import Snapshot

VIEW = Snapshot(12, 7, 7, 6, 1, 3, Census(6, 3, 1, 1, states={}), "", False, gone=2)
NAME = r"pinpool_[a-z0-9_]+"
SAMPLE = re.compile(NAME + r'\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\} [0-9.e+-]+')


def samples(path: Path) -> dict[str, float]:
    """Every sample by its name and labels; fails unless the file is sound."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    found: dict[str, float] = {}
    typed: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed
            typed.add(name)
        elif not line.startswith("# HELP "):
            assert SAMPLE.fullmatch(line), line
            what, _, value = line.rpartition(" ")
            assert what.partition("{")[0] in typed
            assert what not in found
            found[what] = float(value)
    return found


def of(proxy: str, figure: str, labels: str = "") -> str:
    return f'pinpool_proxy_{figure}{{run="run",proxy="{proxy}"{labels}}}'


ALICE, OTHER = "http://alice@192.0.2.1:8080", "socks5h://192.0.2.2:1080"


def test_a_finished_run_has_the_figures_of_stats(tmp_path: Path) -> None:
    whole_run(tmp_path / "run.db")
    metrics = Metrics(tmp_path / "run.prom", tmp_path / "run.db")

    metrics.finish()

    found, stats = samples(tmp_path / "run.prom"), Run(tmp_path / "run.db").stats
    assert found['pinpool_run_state{run="run",state="complete"}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("pinpool_run_state")) == 1
    for state, count in stats["run"]["tasks"].items():
        assert found[f'pinpool_tasks{{run="run",state="{state}"}}'] == count
    for name in ("pages", "items", "worker_losses", "pool_rebuilds"):
        assert found[f'pinpool_{name}_total{{run="run"}}'] == stats["run"][name]
    for proxy in stats["proxies"]:
        for name in ("attempts", "ok", "gone", "failed", "bytes", "pins", "busy_seconds"):
            assert found[of(proxy["proxy"], f"{name}_total")] == proxy[name]
        for name in ("charged", "forgiven"):
            assert found[of(proxy["proxy"], name)] == proxy[name]
        for fault, count in proxy["faults"].items():
            assert found[of(proxy["proxy"], "faults_total", f',fault="{fault}"')] == count
        for state in ("spare", "pinned", "cooling", "retired"):
            assert found[of(proxy["proxy"], "state", f',state="{state}"')] == (state == proxy["state"])
        latency = found[of(proxy["proxy"], "latency_seconds", ',quantile="0.95"')]
        assert latency == pytest.approx(proxy["latency_p95"], rel=0.001)


def test_while_it_runs_the_snapshot_says_what_workers_do(tmp_path: Path) -> None:
    new_journal(tmp_path / "run.db", task("1", "index")).close()

    Metrics(tmp_path / "run.prom", tmp_path / "run.db")(VIEW)

    found = samples(tmp_path / "run.prom")
    tasks = {"done": 4, "gone": 2, "failed": 1, "waiting": 2, "in_flight": 3}
    assert {state: found[f'pinpool_tasks{{run="run",state="{state}"}}'] for state in tasks} == tasks
    doing = {"fetching": 3, "pacing": 1, "parked": 1, "idle": 1}
    assert {act: found[f'pinpool_workers{{run="run",activity="{act}"}}'] for act in doing} == doing
    assert found['pinpool_heartbeat_timestamp_seconds{run="run"}'] == START


def test_reading_bit_by_bit_gives_the_same_figures_as_reading_once_also_after_forgiveness(
    tmp_path: Path,
) -> None:
    bit_by_bit = Metrics(tmp_path / "bits.prom", tmp_path / "run.db", clock=Periods(PERIOD_SECONDS))
    with new_journal(tmp_path / "run.db", task("1", "index"), task("2", "index")) as journal:
        journal.settle(done(1, answered(item("a"))), START)
        journal.settle(put_off(2, failed()), START)
        journal.commit()
        bit_by_bit(VIEW)
        charged = samples(tmp_path / "bits.prom")[of(ALICE, "charged")]
        journal.settle(put_off(2, failed(proxy=2)), START)
        journal.commit()
        bit_by_bit(VIEW)
        journal.settle(given_up(2, failed()), START)
        journal.forgive(2, [1])
        journal.commit()
        bit_by_bit(VIEW)
        journal.requeue()
        journal.settle(put_off(2, failed(proxy=2)), START)
        journal.commit()
        bit_by_bit(VIEW)
    bit_by_bit.finish()
    Metrics(tmp_path / "once.prom", tmp_path / "run.db").finish()

    found = samples(tmp_path / "bits.prom")
    assert charged == 1
    assert found == samples(tmp_path / "once.prom")
    assert (found[of(ALICE, "charged")], found[of(ALICE, "forgiven")]) == (0, 2)
    assert (found[of(OTHER, "charged")], found[of(OTHER, "forgiven")]) == (2, 0)


def test_only_what_is_new_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    fold = "pinpool.stats.prometheus.ProxyFigures.add"
    monkeypatch.setattr(fold, lambda figures, row: read.append(row.task))
    metrics = Metrics(tmp_path / "run.prom", tmp_path / "run.db")
    whole_run(tmp_path / "run.db")

    metrics.finish()
    first = len(read)
    metrics.finish()

    assert first == len(read) == 5


def test_rows_whose_reading_failed_halfway_are_counted_with_the_next_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_run(tmp_path / "run.db")
    lines: list[str] = []
    metrics = Metrics(tmp_path / "run.prom", tmp_path / "run.db", lines.append)
    with monkeypatch.context() as broken:
        broken.setattr(Reader, "pins", Mock(side_effect=JournalError("disk I/O error")))
        metrics.finish()

    metrics.finish()
    Metrics(tmp_path / "once.prom", tmp_path / "run.db").finish()

    assert [line.rpartition(": ")[0] for line in lines] == [f"--metrics {tmp_path}/run.prom: disk I/O error"]
    assert samples(tmp_path / "run.prom") == samples(tmp_path / "once.prom")


def test_two_proxies_of_one_label_are_one_sample(tmp_path: Path) -> None:
    seeds = [task("1", "index"), task("2", "index")]
    with Journal.create(tmp_path / "run.db", ABOUT, START, seeds) as journal:
        journal.enroll([(ALICE, "old")])
        journal.settle(done(1, answered(item("a"))), START)
        journal.enroll([(ALICE, "new")])
        journal.settle(done(2, answered(item("b"), proxy=2)), START)

    Metrics(tmp_path / "run.prom", tmp_path / "run.db").finish()

    assert samples(tmp_path / "run.prom")[of(ALICE, "attempts_total")] == 2


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    text = exposition([Family("x", "gauge", "X.", [({"proxy": 'a"b\\c\nd'}, 1)])], {})

    assert text.splitlines()[2] == 'pinpool_x{proxy="a\\"b\\\\c\\nd"} 1'


def test_a_file_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    whole_run(tmp_path / "run.db")
    (tmp_path / "proxies.txt").write_text("192.0.2.1:80\n")
    lines: list[str] = []
    metrics = Metrics(tmp_path / "run.prom", tmp_path / "run.db", lines.append)
    (tmp_path / "run.prom").write_text("somebody else's")

    metrics.finish()
    metrics.finish()
    with pytest.raises(SettingsError, match=r"proxies\.txt: holds something else"):
        Metrics(tmp_path / "proxies.txt", tmp_path / "run.db")
    with pytest.raises(SettingsError, match="its folder does not exist"):
        Metrics(tmp_path / "no" / "run.prom", tmp_path / "run.db")

    assert (tmp_path / "run.prom").read_text() == "somebody else's"
    assert len(lines) == 1
    assert "the run goes on" in lines[0]
    assert sorted(path.suffix for path in tmp_path.iterdir() if "part" in path.name) == []


def test_an_ending_that_the_exporter_does_not_read_is_reported(tmp_path: Path) -> None:
    lines: list[str] = []

    Metrics(tmp_path / "run.txt", tmp_path / "run.db", lines.append)

    assert lines == [f"--metrics {tmp_path}/run.txt: the node exporter reads only files that end in .prom"]


def test_the_collector_may_read_the_file(tmp_path: Path) -> None:
    whole_run(tmp_path / "run.db")

    Metrics(tmp_path / "run.prom", tmp_path / "run.db").finish()

    assert stat.S_IMODE((tmp_path / "run.prom").stat().st_mode) & stat.S_IRUSR


def test_a_run_leaves_its_figures_and_a_resume_continues_them(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with Lab(pages=2, proxies=2) as lab:
        desk.prepare(lab)
        first = desk.run("crawl", "films.py", "-p", "proxies.txt", "--metrics", "films.prom", "--limit", "5")
        half = samples(desk / "films.prom")
        second = desk.run("resume", "films.db", "--metrics", "films.prom")

    whole = samples(desk / "films.prom")
    state, pages = 'pinpool_run_state{run="films",state="%s"}', 'pinpool_pages_total{run="films"}'
    assert (first.code, second.code) == (0, 0)
    assert half[state % "limited"] == 1
    assert 5 <= half[pages] < 22
    assert (whole[state % "complete"], whole[pages]) == (1, 22)
    assert whole['pinpool_items_total{run="films"}'] == 20
