"""Which proxies have died, as the ends of their attempts show, and how the living ones fail."""

from __future__ import annotations

from random import Random

import pytest

from pinpool.model import Fault
from pinpool.tune.survival import FAILED, GOOD, RESTED, Attempt, FailureSample, History, estimate


def history(
    lived: list[tuple[int, bool, int]], end: list[int] | None = None, *, fault: Fault = Fault.REFUSED, until: int = 99
) -> History:
    """
    A proxy that was used once a second up to its last page, at second `until`: (what came before, whether it failed,
    how often). Then it failed, with these before.
    """
    failure = FailureSample(fault, 0.1)
    kinds = [(before, failed) for before, failed, number in lived for _ in range(number)]
    begin = until + 1 - len(kinds)
    made = [Attempt(begin + n, before, failure if failed else None) for n, (before, failed) in enumerate(kinds)]
    return History(made, [Attempt(begin + len(kinds) + n, before, failure) for n, before in enumerate(end or [])])


HEALTHY = history([(GOOD, False, 100)])
#: It was banned ten times, and came back each time at the third try after a rest.
BACK = [(GOOD, True, 10), (FAILED, True, 20), (RESTED, True, 20), (RESTED, False, 10), (GOOD, False, 100)]
FORGIVEN = history(BACK)


def lived(random: Random, *, failure: float, hazard: float) -> History:
    """A proxy that is used once a second, fails by chance, and one day dies."""
    dies = random.expovariate(hazard)
    failed = [now > dies or random.random() < failure for now in range(100)]
    sample = FailureSample(Fault.RESET, 0.1)
    made = [
        Attempt(now, FAILED if now and failed[now - 1] else GOOD, sample if failed[now] else None) for now in range(100)
    ]
    good = max((now for now in range(100) if not failed[now]), default=-1) + 1
    return History(made[:good], made[good:])


def test_a_calm_list_has_lost_no_proxy() -> None:
    calm = estimate([HEALTHY] * 10)

    assert (calm.lost, calm.dead_on_arrival, calm.hazard) == (0, 0.0, 0.0)


def test_proxies_that_never_served_a_page_never_worked_though_no_rest_has_proven_it() -> None:
    """Twenty hidden bans among a hundred proxies, in a run too short for any rest."""
    silent = history([], [GOOD, FAILED], until=0)

    seen = estimate([HEALTHY] * 80 + [silent] * 20)

    assert seen.dead_on_arrival == pytest.approx(0.2)
    assert seen.hazard == 0.0


def test_a_newcomer_with_one_failure_among_many_that_fail_now_and_then_is_alive() -> None:
    flaky = history([(GOOD, True, 20), (FAILED, True, 5), (FAILED, False, 20), (GOOD, False, 80)])
    newcomer = history([], [GOOD])

    seen = estimate([flaky] * 20 + [newcomer])

    assert seen.lost == 0


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
    resting = history(BACK, [GOOD, FAILED, RESTED, FAILED])

    seen = estimate([FORGIVEN] * 15 + [resting] * 5)

    assert seen.lost == 0
    assert seen.after_rest == pytest.approx(2 / 3, abs=0.05)


def test_a_proxy_that_refuses_our_login_is_dead_whatever_the_others_do() -> None:
    refused = history([(GOOD, False, 50)], [GOOD], fault=Fault.PROXY_AUTH)

    seen = estimate([FORGIVEN] * 10 + [refused])

    assert seen.lost == 1


def test_a_list_of_which_no_proxy_ever_comes_back_dies_and_does_not_fail_for_ever() -> None:
    used_up = [history([(GOOD, False, age)], [GOOD, RESTED, RESTED, RESTED], until=age) for age in (10, 20, 30, 40)]

    seen = estimate(used_up)

    assert seen.lost == 4
    assert seen.hazard == pytest.approx(4 / 102, rel=0.01)


def test_a_proxy_that_the_site_has_banned_after_some_pages_shows_no_rate_of_deaths() -> None:
    banned = history([(GOOD, False, 10)], [GOOD, FAILED, FAILED], fault=Fault.BANNED)

    seen = estimate([HEALTHY] * 7 + [banned] * 3)

    assert (seen.lost, [len(behavior.ban) for behavior in seen.behaviors]) == (3, [0] * 7 + [3] * 3)
    assert (seen.hazard, seen.dead_on_arrival) == (0.0, 0.0)
