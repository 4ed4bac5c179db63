from __future__ import annotations

from pinpool.model import Fault
from pinpool.stats.snapshot import RecentFaults


def test_the_latest_kinds_of_faults_come_with_their_counts_and_always_in_one_order() -> None:
    faults = RecentFaults()
    faults.add(Fault.REFUSED, "first", 1.0)
    faults.add(Fault.TIMEOUT, "slow", 2.0)
    faults.add(Fault.TIMEOUT, "slower", 3.0)
    faults.add(Fault.BANNED, "go away", 4.0)
    before = [fault for fault, _ in faults.latest(2)]
    faults.add(Fault.TIMEOUT, "slowest", 5.0)

    (banned, _), (timeout, seen) = faults.latest(2)

    assert before == [banned, timeout] == [Fault.BANNED, Fault.TIMEOUT]
    assert (seen.count, seen.message, seen.at) == (3, "slowest", 5.0)
