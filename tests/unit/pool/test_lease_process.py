"""The parent's copy of where the proxies stand, from which a new Manager starts."""

import multiprocessing
from multiprocessing import process
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from engines import spare
from pinpool.model import EventKind, ProxyState
from pinpool.pool.lease_process import LeaseProcess, Standings, _Manager
from pinpool.pool.leases import LeaseQueue

SPARE, PINNED, COOLING, RETIRED = ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED


def states(standings: Standings) -> dict[int, ProxyState]:
    return {one.proxy: one.state for one in standings}


def test_a_proxy_that_was_on_its_way_out_does_not_come_back_with_a_new_manager() -> None:
    standings = Standings([spare(1, PINNED), spare(2, COOLING), spare(3)])
    standings.withdraw([1, 2], "off the list")
    standings.move(1, EventKind.FAULTED, 60.0)  # the decision about its last page comes late

    events = standings.retire_leaving()

    assert states(standings) == {1: RETIRED, 2: RETIRED, 3: SPARE}
    assert [(event.kind, event.proxy, event.detail) for event in events] == [("withdrawn", 1, "off the list")]


def test_a_withdrawn_proxy_that_joins_again_is_asked_to_leave_no_more() -> None:
    standings = Standings([spare(1, PINNED)])
    standings.withdraw([1], "off the list")
    asked = standings.to_leave(1)

    standings.join([spare(1)])

    assert (asked, standings.to_leave(1)) == (1, 0)
    assert standings.retire_leaving() == []


def test_a_worker_that_is_to_swap_is_asked_to_leave_until_it_has() -> None:
    standings, leases = Standings([spare(1)]), LeaseQueue([spare(1)], 4, 60.0)
    leases.check_in(7, 100, 0)
    leases.ask_to_swap(1)

    standings.update(leases.report())
    asked = standings.to_leave(1)
    leases.leave(7, b"")
    standings.update(leases.report())

    assert (asked, standings.to_leave(1)) == (1, 0)
    assert states(standings) == {1: COOLING}


def test_the_lease_queue_has_the_last_word_on_who_is_leaving() -> None:
    """The copy is a tenth of a second old: a proxy that it has as spare may be pinned by now."""
    standings, leases = Standings([spare(1)]), LeaseQueue([spare(1)], 4, 60.0)
    leases.check_in(7, 100, 0)
    standings.withdraw([1], "off the list")
    leases.withdraw([1], "off the list")

    standings.update(leases.report())

    assert states(standings) == {1: PINNED}
    assert standings.to_leave(1) == 1


def test_a_manager_whose_forkserver_dies_before_it_is_up_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(manager: Any, initializer: object) -> None:
        manager._process = multiprocessing.Process()
        raise EOFError

    monkeypatch.setattr(_Manager, "start", start)
    process = LeaseProcess([spare(1)], multiprocessing.get_context(), seats=1, cooling=60.0)

    with pytest.raises(EOFError):
        process.start()
    process.end()

    assert process.pid is None


def test_a_manager_whose_end_is_not_reported_is_left_behind_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """It was killed, and cannot be, or a stopped forkserver is silent. Its own shutdown waits without a deadline."""
    leases = LeaseProcess([], multiprocessing.get_context(), seats=1, cooling=1.0)
    socket = tmp_path / "socket"
    socket.touch()
    manager = Mock(address=str(socket))
    manager._process.pid = 2**30
    manager._process._popen.poll.return_value = None
    leases._manager = manager
    cast(Any, process)._children.add(manager._process)
    assert manager._process in multiprocessing.active_children()

    leases.end()

    assert manager._process not in multiprocessing.active_children()
    manager.shutdown.assert_not_called()
    manager.shutdown.cancel.assert_called_once()
    assert not socket.exists()  # or whoever lets go of the queue would connect, and wait for a greeting
    assert leases.pid is None
