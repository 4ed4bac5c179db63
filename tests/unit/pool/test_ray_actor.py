"""A carrier, without Ray: what it does when the parent calls it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from crawling import until
from pinpool.model import FILE_STAGE, Assignment, Call, Ending
from pinpool.pool import ray_actor
from pinpool.pool.job import Job, pack_work, unpack
from pinpool.pool.lease_types import Lease
from pinpool.pool.ray_actor import Carrier, Kit
from pinpool.pool.ray_fence import TTL_SECONDS
from pinpool.pool.ray_messages import Ran, Renewed
from pinpool.pool.status_board import Activity
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.tasks import request
from scripted_job import ScriptedJob

LEASE = Lease(7, Proxy("http", "192.0.2.7", 80), probing=False)
SCRIPTED = partial(ScriptedJob, Settings())
NOBODY: frozenset[int] = frozenset()


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carrier has its process for itself. Here it must leave the handlers of others alone."""
    monkeypatch.setattr("pinpool.pool.log_pipe.Reporting.begin", lambda self, whereabouts: None)


class Endless:
    """A fence that is never closed, in place of one that would end this process."""

    until = 0.0
    ended = 0

    def extend(self, until: float) -> None:
        self.until = until

    def check(self) -> None:
        assert self.until

    def end_in(self, seconds: float) -> None:
        self.ended += 1


@pytest.fixture
def fence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endless]:
    made = Endless()
    monkeypatch.setattr(ray_actor, "Fence", lambda: made)
    yield made


def carrier(
    make: Callable[[], Job] = SCRIPTED,
    *,
    mark: str | None = None,
    own_version: str = version("pinpool"),
    hang: float = 30.0,
) -> Carrier:
    kit = Kit(own_version, pickle.dumps(make), {}, False, hang, mark)
    made = Carrier(pickle.dumps(tuple(kit)), (11, 12))
    first = renewed(made)
    if not first.complaint:
        renewed(made, first.now + TTL_SECONDS)
    return made


def renewed(of: Carrier, until: float = 0.0, leaving: frozenset[int] = NOBODY) -> Renewed:
    return Renewed(*of.renew(until, leaving))


def ran(of: Carrier, work: Call | Assignment, *, pins: int = 1, wait: float = 0.0) -> Ran:
    return Ran(*of.run(0, 5, pack_work(work), LEASE, pins, wait))


def test_an_attempt_is_made_through_the_lease_that_came_with_it(fence: Endless) -> None:
    outcome = unpack(ran(carrier(), Call(b"ok")).payload)
    assert (outcome.ending, outcome.proxy, outcome.worker, outcome.result) == (Ending.OK, 7, 11, b"7")


def test_the_first_renewal_asks_for_the_clock_and_the_second_opens_the_fence(fence: Endless) -> None:
    made = carrier()
    assert fence.until > 0
    before = fence.until
    assert renewed(made, before + 1).now < before + 1
    assert fence.until == before + 1


def test_no_attempt_begins_behind_a_closed_fence(fence: Endless) -> None:
    made = carrier()
    fence.until = 0.0
    with pytest.raises(AssertionError):
        ran(made, Call(b"ok"))


def test_a_renewal_says_what_each_worker_does(fence: Endless) -> None:
    made = carrier()
    ran(made, Call(b"ok"))
    lines = renewed(made, 1e12).lines
    assert [(line.place, Activity(line.activity), line.serial) for line in lines] == [
        (0, Activity.IDLE, 5),
        (1, Activity.IDLE, 0),
    ]


def test_a_worker_that_hangs_shows_where(fence: Endless) -> None:
    made = carrier(hang=0.05)
    working = threading.Thread(target=ran, args=(made, Call(b"sleep:1")))
    working.start()
    until(lambda: renewed(made, 1e12).lines[0].stack != "", "it shows its stack", 10)
    [shown] = [line.stack for line in renewed(made, 1e12).lines if line.stack]
    assert "scripted_job.py" in shown
    working.join()
    assert [line.stack for line in renewed(made, 1e12).lines] == ["", ""]


def test_a_spider_that_cannot_be_loaded_is_complained_of(fence: Endless) -> None:
    complaint = renewed(carrier(_breaks)).complaint
    assert complaint == "ZeroDivisionError: division by zero"


def test_another_version_of_pinpool_is_complained_of(fence: Endless) -> None:
    assert "it has pinpool" in renewed(carrier(own_version="0.0.0")).complaint


def test_it_downloads_nothing_where_the_parent_does_not_see_it(fence: Endless, tmp_path: Path) -> None:
    made = carrier(mark=str(tmp_path / "parts" / "mark"))
    task = request("http://site.test/a.pdf", stage=FILE_STAGE)
    assert "it does not see the folder" in ran(made, Assignment(task)).complaint
    assert ran(made, Call(b"ok")).complaint == ""


def test_turns_at_the_site_beyond_the_one_that_was_given_are_owed(fence: Endless) -> None:
    rated = partial(ScriptedJob, Settings(site_rate=100.0))
    assert ran(carrier(rated), Call(b"ok"), wait=0.01).owed == 0.0
    turns = ray_actor._Turns()
    turns.begin(2.0, 0.5)
    assert [turns.take(0.5), turns.take(0.5), turns.owed] == [2.0, 0.5, 0.5]


def test_the_connections_of_a_pin_that_is_over_are_closed_but_not_those_of_the_next(fence: Endless) -> None:
    made = carrier()
    ran(made, Call(b"ok"), pins=1)
    ran(made, Call(b"ok"), pins=2)
    made.let_go(0, 1)  # late
    assert made._workers[0].pins == 2
    made.let_go(0, 2)
    assert made._workers[0].pins == 0


def test_one_that_leaves_says_so_before_it_ends(fence: Endless) -> None:
    made = carrier()
    assert made.leave() > 0
    assert fence.ended == 1


def _breaks() -> Job:
    raise ZeroDivisionError("division by zero")
