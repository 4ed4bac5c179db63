"""
Fixtures that several folders of tests share, what `--slow` means, and in which order and company tests run.

A test with the marker `grid` has a long list of cases. Without `--slow` a few of them run, for each engine, or of each
`part` of a file, drawn with a fixed seed, so that every run of the fast tests takes the same ones. Tests with the
marker `ray` run only if `-m` names it.
"""

from __future__ import annotations

import compileall
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

import pinpool
from commands import Desk
from crawling import descendants, until
from engine_kinds import Kind, Started, kinds_for
from engines import Maker, is_alive, scripted_engine, spares
from ledger import Ledger
from pinpool.lab import Lab
from pinpool.pool.engine import Engine
from pinpool.pool.lease_types import Standing
from pinpool.pool.processes import ProcessEngine
from pinpool.pool.registry import ENGINES, Carries
from ray_hosts import Cluster, cluster

#: One process runs all tests of such a file: they are short, or share what is expensive to set up.
BY_FILE = (
    "tests/stories/test_httpbin.py",
    "tests/unit/",
    "tests/cli/test_report_browser.py",
    "tests/cli/test_tune.py",
    "tests/stories/test_differential.py",
    "tests/stories/test_fault_situations.py",
    "tests/stories/test_secrecy.py",
)
#: The longest tests start first, so that no process is still busy with one when the others have nothing left.
LAST = "tests/unit/"

# Its 200 ms for an example are a bound that a busy machine breaks.
hypothesis.settings.register_profile("pinpool", deadline=None)
hypothesis.settings.load_profile("pinpool")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="Run every case of the grids, and the soak for ten minutes.")


def pytest_configure(config: pytest.Config) -> None:
    # As pip does it. Where Python may write no bytecode, every command that a test starts would compile all modules.
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(pinpool.__path__[0], quiet=2)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Not `--dist loadgroup`: xdist 3.8 writes its groups into a field that pytest 9.2 no longer reads."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(BY_FILE) else nodeid


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling:
    config.option.loadscopereorder = False
    return _Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid.startswith(LAST))
    if "ray" not in config.getoption("-m"):
        leave_out(config, items, {item for item in items if item.get_closest_marker("ray") is not None})
    if config.getoption("--slow"):
        return
    for has_part in (False, True):  # a part is drawn of the cases that are left by then
        leave_out(config, items, not_drawn(items, has_part=has_part))


def not_drawn(items: list[pytest.Item], *, has_part: bool) -> set[pytest.Item]:
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    asked: dict[str, Mapping[str, Any]] = {}
    for item in items:
        markers = [marker for marker in item.iter_markers("grid") if ("part" in marker.kwargs) is has_part]
        for marker in markers[:1]:  # the closest
            callspec = getattr(item, "callspec", None)  # a test without parameters has none
            engine = callspec.params.get("engine_kind", "") if callspec else ""
            file, test = item.nodeid.partition("::")[0], item.nodeid.partition("[")[0]
            test = f"{file}{marker.kwargs['part']}" if has_part else f"{test}{engine}"
            cases[test].append(item)
            asked[test] = marker.kwargs
    left_out: set[pytest.Item] = set()
    for test, its_cases in cases.items():
        keep = asked[test].get("keep") or ceil(asked[test]["share"] * len(its_cases))
        drawn = Random(test).sample(its_cases, min(int(keep), len(its_cases)))
        left_out.update(set(its_cases) - set(drawn))
    return left_out


def leave_out(config: pytest.Config, items: list[pytest.Item], left_out: set[pytest.Item]) -> None:
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> bool:
    """True if somebody asked for `--slow`."""
    return bool(request.config.getoption("--slow"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts its journal."""
    return tmp_path / "movies.db"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A user's folder to work in. Whatever a failed test left running there is ended."""
    made = Desk(tmp_path)
    yield made
    made.clear()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Cluster]:
    """A cluster for all tests; each takes the hosts that it needs. Whoever connects to it has its token."""
    with pytest.MonkeyPatch.context() as patch, cluster() as made:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture
def lab(desk: Desk) -> Iterator[Lab]:
    """Twenty films behind four good proxies; nothing may ever go past these, nor two workers share one."""
    with Lab(pages=2, proxies=4) as made:
        desk.prepare(made)
        yield made
        assert made.direct == 0
        assert all(proxy.max_users <= 1 for proxy in made.proxies)


@pytest.fixture(params=["forkserver", "spawn"])
def method(request: pytest.FixtureRequest) -> str:
    """How processes start."""
    chosen: str = request.param
    return chosen


@pytest.fixture(params=[1, 3], ids=["alone", "threads"])
def threads(request: pytest.FixtureRequest) -> int:
    """How many workers share a process."""
    chosen: int = request.param
    return chosen


@pytest.fixture
def make(method: str, threads: int) -> Iterator[Maker]:
    """Makes started engines of scripted workers, and checks that none leaves a process behind."""
    engines: list[ProcessEngine] = []

    def build(workers: int, proxies: int, *, hang: float = 30.0, cooling: float = 3600.0) -> ProcessEngine:
        engine = scripted_engine(
            workers, spares(proxies), hang=hang, cooling=cooling, threads=threads, start_method=method
        )
        engines.append(engine)
        engine.start()
        return engine

    yield build
    pids = [pid for engine in engines for pid in engine.worker_pids]
    for engine in engines:
        engine.close()
    assert [pid for pid in pids if is_alive(pid)] == []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("needs")
        metafunc.parametrize("engine_kind", kinds_for(marker.args if marker is not None else ()))


@pytest.fixture
def ray_address(ray_cluster: Cluster) -> str:
    """That of a cluster with room for eight workers."""
    ray_cluster.have(4)
    return str(ray_cluster.address)


@pytest.fixture
def engine_address(engine_kind: Kind, request: pytest.FixtureRequest) -> str | None:
    """Where the cluster of the engine is, None if it needs none."""
    return str(request.getfixturevalue(engine_kind.cluster)) if engine_kind.cluster else None


@pytest.fixture
def started(engine_kind: Kind, engine_address: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Makes started engines of scripted workers, of each kind, and checks that none leaves a process behind."""
    monkeypatch.setitem(ENGINES, "fake", Carries("fake_engine", "caller"))
    engines: list[Engine] = []
    before = set(descendants())

    def start(workers: int, proxies: int | list[Standing], *, resubmit: bool = True, **options: Any) -> Ledger[Engine]:
        engine = engine_kind.make(workers, proxies, address=engine_address, **options)
        engines.append(engine)
        engine.start()
        return Ledger(engine, resubmit)

    yield start
    for engine in engines:
        engine.close()
    until(lambda: set(descendants()) <= before, "no process of the engine", seconds=30)


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger without handlers; as before after the test."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers.clear()
    yield root
    root.setLevel(level)
    root.handlers[:] = handlers
