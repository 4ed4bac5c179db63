"""Which proxies have died, as the ends of their attempts show, and how the living ones fail."""

from __future__ import annotations

from random import Random

import pytest

from pinpool.model import Fault
from pinpool.tune.survival import AFTER_GOOD, AGAIN, FailureSample, History, Kind, estimate


def history(
    last_good: float | None,
    *,
    passed: tuple[int, ...] = (0, 0, 0),
    failed: tuple[int, ...] = (0, 0, 0),
    ends: tuple[int, ...] = (0, 0, 0),
    ending: float = 0.0,
    fault: Fault = Fault.REFUSED,
) -> History:
    """A proxy with so many attempts after a good one, after a failed one, and after a rest."""
    kinds = {(False, False): passed, (True, False): failed, (True, True): ends}
    counts = {Kind(before, *kind): numbers[before] for kind, numbers in kinds.items() for before in range(3)}
    return History(0.0, last_good, counts, ending, (), [FailureSample(fault, 0.1)] * sum(ends))


HEALTHY = history(99.0, passed=(100, 0, 0))
#: It was banned ten times, and came back each time at the third try after a rest.
FORGIVEN = history(99.0, passed=(100, 0, 10), failed=(10, 20, 20))


def lived(random: Random, *, failure: float, hazard: float) -> History:
    """A proxy that is used once a second, fails by chance, and one day dies."""
    dies = random.expovariate(hazard)
    failed = [now > dies or random.random() < failure for now in range(100)]
    last = max((now for now in range(100) if not failed[now]), default=-1)
    seen = {failed: [0, 0, 0] for failed in (False, True)}
    for now in range(last + 1):
        seen[failed[now]][AGAIN if now > 0 and failed[now - 1] else AFTER_GOOD] += 1
    ends = (1, 98 - last, 0) if last < 99 else (0, 0, 0)
    good = float(last) if last >= 0 else None
    return history(good, passed=(*seen[False],), failed=(*seen[True],), ends=ends, ending=last + 1.0)


def test_a_calm_list_has_lost_no_proxy() -> None:
    calm = estimate([HEALTHY] * 10)

    assert (list(calm.dead), calm.dead_on_arrival, calm.hazard) == ([0.0] * 10, 0.0, 0.0)


def test_proxies_that_never_served_a_page_never_worked_though_no_rest_has_proven_it() -> None:
    """Twenty hidden bans among a hundred proxies, in a run too short for any rest."""
    silent = history(None, ends=(1, 1, 0))

    seen = estimate([HEALTHY] * 80 + [silent] * 20)

    assert seen.dead_on_arrival == pytest.approx(0.2)
    assert seen.hazard == 0.0


def test_a_newcomer_with_one_failure_among_many_that_fail_now_and_then_is_alive() -> None:
    flaky = history(99.0, passed=(80, 15, 0), failed=(20, 5, 0))
    newcomer = history(None, ends=(1, 0, 0))

    seen = estimate([flaky] * 20 + [newcomer])

    assert seen.dead[-1] < 0.1


@pytest.mark.parametrize("failure", [0.02, 0.2])
def test_the_rate_of_deaths_is_found_among_failures_that_pass(failure: float) -> None:
    random = Random(3)

    seen = estimate([lived(random, failure=failure, hazard=0.01) for _ in range(400)])

    assert seen.hazard == pytest.approx(0.01, rel=0.15)
    assert seen.again == pytest.approx(failure, rel=0.3)


def test_failures_that_always_pass_are_no_deaths_though_a_few_have_not_passed_yet() -> None:
    random = Random(4)

    seen = estimate([lived(random, failure=0.2, hazard=1e-9) for _ in range(400)])

    assert seen.hazard < 1e-4
    assert seen.dead_on_arrival == 0.0


def test_a_list_that_is_banned_and_forgiven_again_and_again_loses_no_proxy() -> None:
    resting = history(99.0, passed=(100, 0, 10), failed=(10, 20, 20), ends=(1, 2, 1), ending=100.0)

    seen = estimate([FORGIVEN] * 15 + [resting] * 5)

    assert max(seen.dead) < 0.1
    assert seen.after_rest == pytest.approx(2 / 3, abs=0.05)


def test_a_proxy_that_refuses_our_login_is_dead_whatever_the_others_do() -> None:
    refused = history(50.0, passed=(50, 0, 0), ends=(1, 0, 0), ending=51.0, fault=Fault.PROXY_AUTH)

    seen = estimate([FORGIVEN] * 10 + [refused])

    assert seen.dead[-1] == 1.0


def test_a_list_of_which_no_proxy_ever_comes_back_dies_and_does_not_fail_for_ever() -> None:
    used_up = [
        history(age, passed=(int(age), 0, 0), ends=(1, 0, 3), ending=age + 1.0) for age in (10.0, 20.0, 30.0, 40.0)
    ]

    seen = estimate(used_up)

    assert min(seen.dead) > 0.99
    assert seen.hazard == pytest.approx(4 / 102, rel=0.01)


def test_a_proxy_that_the_site_has_banned_after_some_pages_shows_no_rate_of_deaths() -> None:
    banned = history(10.0, passed=(10, 0, 0), ends=(1, 2, 0), ending=11.0, fault=Fault.BANNED)

    seen = estimate([HEALTHY] * 7 + [banned] * 3)

    assert list(seen.dead) == [0.0] * 7 + [1.0] * 3
    assert (seen.hazard, seen.dead_on_arrival) == (0.0, 0.0)
