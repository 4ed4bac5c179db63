"""Which proxies have died, as the ends of their attempts show, and how the living ones fail."""

from __future__ import annotations

from random import Random

import pytest

from pinpool.tune.survival import History, estimate

HEALTHY = History(first=0.0, last_good=99.0, after_good=(0, 100))
#: It was banned ten times, and came back each time at the third try after a rest.
FORGIVEN = History(first=0.0, last_good=99.0, after_good=(10, 110), again=(20, 20), after_rest=(20, 30), ending=100.0)


def lived(random: Random, *, failure: float, hazard: float) -> History:
    """A proxy that is used once a second, fails by chance, and one day dies."""
    dies = random.expovariate(hazard)
    failed = [now > dies or random.random() < failure for now in range(100)]
    last = max((now for now in range(100) if not failed[now]), default=-1)
    after = {True: [0, 0], False: [0, 0]}
    for now in range(last + 1):
        kind = after[now > 0 and failed[now - 1]]
        kind[0] += failed[now]
        kind[1] += 1
    return History(
        first=0.0,
        last_good=float(last) if last >= 0 else None,
        after_good=(after[False][0], after[False][1]),
        again=(after[True][0], after[True][1]),
        ending=None if last == 99 else last + 1.0,
        at_once=98 - last,
    )


def test_a_calm_list_has_lost_no_proxy() -> None:
    calm = estimate([HEALTHY] * 10)

    assert (list(calm.dead), calm.dead_on_arrival, calm.hazard) == ([0.0] * 10, 0.0, 0.0)


def test_proxies_that_never_served_a_page_never_worked_though_no_rest_has_proven_it() -> None:
    """Twenty hidden bans among a hundred proxies, in a run too short for any rest."""
    silent = History(first=0.5, last_good=None, ending=0.5, at_once=1)

    seen = estimate([HEALTHY] * 80 + [silent] * 20)

    assert seen.dead_on_arrival == pytest.approx(0.2)
    assert seen.hazard == 0.0


def test_a_newcomer_with_one_failure_among_many_that_fail_now_and_then_is_alive() -> None:
    flaky = History(first=0.0, last_good=99.0, after_good=(20, 100), again=(5, 20))
    newcomer = History(first=0.0, last_good=None, ending=0.0)

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
    resting = FORGIVEN._replace(at_once=2, rested=1)

    seen = estimate([FORGIVEN._replace(ending=None)] * 15 + [resting] * 5)

    assert max(seen.dead) < 0.1
    assert seen.after_rest == pytest.approx(2 / 3, abs=0.05)


def test_a_proxy_that_refuses_our_login_is_dead_whatever_the_others_do() -> None:
    seen = estimate([FORGIVEN] * 10 + [History(first=0.0, last_good=50.0, ending=51.0, fatal=True)])

    assert seen.dead[-1] == 1.0


def test_a_list_of_which_no_proxy_ever_comes_back_dies_and_does_not_fail_for_ever() -> None:
    used_up = [
        History(first=0.0, last_good=age, after_good=(0, int(age)), ending=age + 1.0, rested=3)
        for age in (10.0, 20.0, 30.0, 40.0)
    ]

    seen = estimate(used_up)

    assert min(seen.dead) > 0.99
    assert seen.hazard == pytest.approx(4 / 102, rel=0.01)
