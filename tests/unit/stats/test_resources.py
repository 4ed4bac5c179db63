"""What a run cost: read off the processes, kept in the journal, and believed only if it makes sense."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from clocks import START, SetClock
from pinpool.stats.capacity import cores
from pinpool.stats.resources import Meter, Reading, Usage, Utilization, _memory_of_all, read_tree


def readings(*values: tuple[float, float]) -> list[Reading]:
    return [Reading(own, tree, 10 * own, 30, 50) for own, tree in values]


def meter(*values: tuple[float, float]) -> tuple[Meter, SetClock]:
    given, now = iter(readings(*values)), SetClock()
    return Meter(now, lambda: next(given)), now


def test_only_the_pages_since_all_workers_were_at_work_are_measured() -> None:
    measure, now = meter((1.0, 10.0), (1.5, 14.0))

    for pages in (0, 3, 4, 50, 104):
        measure.look(pages, workers=4)
        now.seconds += 1.0
    event = measure.event()

    assert event is not None
    used = Usage.parse(event.detail)
    assert used is not None
    assert (used.pages, used.own_cpu, used.tree_cpu, used.queued, used.workers) == (100, 0.5, 4.0, 5.0, 4)
    assert (event.at, used.cores) == (START + 5, cores())


def test_a_run_without_further_pages_has_no_usage() -> None:
    measure, _ = meter((1.0, 10.0), (1.5, 14.0))
    measure.look(4, workers=4)

    assert measure.event() is None


def test_where_nothing_can_be_read_the_journal_gets_no_event() -> None:
    measure = Meter(SetClock(), lambda: None)
    measure.look(10, 4)
    measure.look(20, 4)

    assert measure.event() is None


@pytest.mark.parametrize("detail", ["", "[]", "{}", '{"pages": "many"}', "null", "1"])
def test_an_event_that_is_not_ours_is_passed_over(detail: str) -> None:
    assert Usage.parse(detail) is None


@pytest.mark.parametrize("odd", [{"pages": 0}, {"tree_cpu": -1.0}, {"cores": float("nan")}, {"seconds": "1"}])
def test_figures_that_cannot_be_are_passed_over(odd: dict[str, object]) -> None:
    fields = (
        "pages",
        "seconds",
        "own_cpu",
        "tree_cpu",
        "queued",
        "own_memory",
        "tree_memory",
        "workers",
        "cores",
    )

    assert Usage.parse(json.dumps(dict.fromkeys(fields, 1))) is not None
    assert Usage.parse(json.dumps(dict.fromkeys(fields, 1) | odd)) is None


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")  # noqa: PTH110
def test_a_child_counts_with_its_parent_while_it_lives_and_after() -> None:
    before = read_tree()
    burn = "import time; [None for _ in iter(lambda: time.process_time() < 0.2, False)]; print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = read_tree()
        child.communicate("\n")
    after = read_tree()

    assert before is not None and during is not None and after is not None
    assert during.tree_cpu >= before.tree_cpu + 0.15
    assert during.tree_memory > during.own_memory > 1_000_000
    assert after.tree_cpu >= before.tree_cpu + 0.15


def test_a_utilization_comes_back_from_its_text() -> None:
    written = Utilization()
    written.add(2.5, workers=4, running=2, pacing=1, parked=1)

    assert Utilization.parse(written.text()) == written == Utilization(2.5, 10.0, 5.0, 2.5, 2.5)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"seconds": "x"}', "null"])
def test_any_other_text_is_none(text: str) -> None:
    assert Utilization.parse(text) is None


@pytest.mark.parametrize("processes", [1, 5, 26, 27, 107])
def test_the_memory_of_many_workers_is_that_of_some_of_them(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    looked: list[str] = []

    def kilobytes(path: str, name: str) -> int:
        looked.append(path)
        return 1000 if path == "/proc/1/smaps_rollup" else 10

    monkeypatch.setattr("pinpool.stats.resources.kilobytes", kilobytes)

    memory = _memory_of_all(range(1, processes + 1))

    assert memory == (1000 + 10 * (processes - 1)) * 1024
    assert len(looked) == len(set(looked)) <= 26
