"""A failed attempt is followed by another one, or by an end that one proxy alone cannot bring about."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.model import Charge, FailedAttempt, Fault
from pinpool.policy.faults import FAULTS
from pinpool.policy.retry import Believe, GiveUp, Resubmit, Verdict, decide

EVERYBODY = frozenset(range(5000))


def failed(fault: Fault, *proxies: int | None, site_down: bool = False) -> list[FailedAttempt]:
    return [FailedAttempt(proxy, fault, site_down) for proxy in proxies]


def verdict(
    failures: list[FailedAttempt],
    *,
    attempts: int = 4,
    alive: int = 10,
    unbelieved: Iterable[int] = (),
    index: bool = False,
    jitter: float = 0.5,
) -> Verdict:
    """Every proxy works elsewhere but the `unbelieved` ones."""
    return decide(
        failures,
        attempts=attempts,
        alive=alive,
        believed=EVERYBODY.difference(unbelieved),
        is_list=index,
        jitter=jitter,
    )


def ended(verdict: Verdict) -> str:
    assert isinstance(verdict, GiveUp | Believe)
    return verdict.reason


@pytest.mark.parametrize("fault", [fault for fault in Fault if FAULTS[fault].charge is Charge.PROXY])
def test_a_proxys_fault_costs_the_task_nothing(fault: Fault) -> None:
    assert verdict(failed(fault, *range(59)), attempts=1) == Resubmit(0.0, charged=False)


def test_a_url_that_no_proxy_will_tunnel_does_not_burn_the_whole_list() -> None:
    reason = ended(verdict(failed(Fault.TUNNEL, *range(60))))

    assert reason == "60 proxies would not carry it, the last fault tunnel"


@pytest.mark.parametrize("fault", [fault for fault in Fault if not FAULTS[fault].asked])
def test_a_page_is_never_given_up_for_a_list_that_has_died(fault: Fault) -> None:
    """The last page of a run meets every dead proxy again and again; the run must end as one that can be resumed."""
    again = Resubmit(0.0, charged=False)

    assert verdict(failed(fault, *range(10)) * 50, attempts=1) == again
    assert verdict(failed(Fault.TIMEOUT, 1, 2, 3) + failed(fault, *range(4, 9))) == again


def test_proxies_that_were_never_asked_do_not_bring_the_end_nearer() -> None:
    dead = failed(Fault.REFUSED, *range(10, 100))

    assert isinstance(verdict(dead + failed(Fault.TUNNEL, *range(59))), Resubmit)
    assert isinstance(verdict(dead + failed(Fault.TIMEOUT, 1, 2, 3)), Resubmit)
    assert isinstance(verdict(dead + failed(Fault.TIMEOUT, 1, 2, 3, 4)), GiveUp)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.RESET, Fault.BANNED, Fault.CONNECT_TIMEOUT, Fault.TLS])
def test_only_the_word_of_a_proxy_that_works_elsewhere_is_charged(fault: Fault) -> None:
    assert verdict(failed(fault, 1)) == Resubmit(0.0, charged=True)
    assert verdict(failed(fault, 1), unbelieved=[1]) == Resubmit(0.0, charged=False)
    assert isinstance(verdict(failed(fault, 1, 2, 3, 4, 5), unbelieved=range(6)), Resubmit)


def test_a_spent_budget_ends_the_task_and_the_reason_counts() -> None:
    assert isinstance(verdict(failed(Fault.TIMEOUT, 1, 2, 3)), Resubmit)
    assert ended(verdict(failed(Fault.TIMEOUT, 1, 2, 3, 4))) == "timeout on 4 proxies"
    assert ended(verdict(failed(Fault.BANNED, 1) + failed(Fault.TIMEOUT, 2, 3, 3))) == (
        "timeout on 2 proxies, and 1 other failure"
    )


def test_a_spent_budget_needs_three_proxies_or_all_there_are() -> None:
    assert isinstance(verdict(failed(Fault.TIMEOUT, 1, 1, 2, 2, 2)), Resubmit)
    assert isinstance(verdict(failed(Fault.TIMEOUT, 1, 1, 2, 2), alive=2), GiveUp)
    assert ended(verdict(failed(Fault.TIMEOUT, 1, 1, 1, 1), alive=1)) == "timeout on 1 proxy"


def test_with_no_proxy_alive_the_task_waits_for_a_better_list() -> None:
    assert isinstance(verdict(failed(Fault.TIMEOUT, 1, 1, 1, 1), alive=0), Resubmit)


def test_an_index_that_is_empty_on_three_proxies_is_an_empty_list() -> None:
    assert isinstance(verdict(failed(Fault.EMPTY, 1, 2), index=True), Resubmit)
    assert verdict(failed(Fault.EMPTY, 1, 2, 3), index=True) == Believe("empty list")


def test_what_proxies_say_that_work_nowhere_is_not_believed() -> None:
    """Three soft-banned proxies in a row must not turn a list page into an empty list."""
    banned = failed(Fault.EMPTY, 1, 2, 3)
    more = banned + failed(Fault.EMPTY, 4, 5, 6)

    assert isinstance(verdict(banned, unbelieved=[1, 2, 3], index=True), Resubmit)
    assert verdict(more, unbelieved=[1, 2, 3], index=True) == Believe("empty list")


def test_failures_of_a_silent_site_cost_the_task_nothing_but_have_an_end() -> None:
    silent = [one for proxy in range(79) for one in failed(Fault.TIMEOUT, proxy, site_down=True)]

    assert verdict(silent) == Resubmit(0.0, charged=False)
    assert verdict(silent[:40] + failed(Fault.TIMEOUT, 1)) == Resubmit(0.0, charged=True)
    assert ended(verdict(silent + silent[:1])) == "80 failures, the last timeout"


def test_a_detail_page_that_is_empty_on_three_proxies_has_failed() -> None:
    assert verdict(failed(Fault.EMPTY, 1, 2, 3)) == GiveUp("nothing extracted")


def test_the_only_proxy_left_is_asked_twice_before_an_empty_page_is_believed() -> None:
    assert isinstance(verdict(failed(Fault.EMPTY, 1), index=True, alive=1), Resubmit)
    assert verdict(failed(Fault.EMPTY, 1, 1), index=True, alive=1) == Believe("empty list")
    assert verdict(failed(Fault.EMPTY, 1), index=True, alive=1, attempts=1) == Believe("empty list")


@pytest.mark.parametrize(("jitter", "rests"), [(0.0, [1.5, 3.0, 6.0]), (0.5, [2.0, 4.0, 8.0])])
def test_an_ill_site_is_given_more_time_after_each_failure(jitter: float, rests: list[float]) -> None:
    for times, rest in enumerate(rests, 1):
        assert verdict(failed(Fault.SERVER_ERROR, *range(times)), jitter=jitter) == Resubmit(rest, charged=True)


@given(st.integers(1, 4_000), st.floats(0, 1, exclude_max=True))
def test_a_back_off_stays_between_a_second_and_five_minutes(times: int, jitter: float) -> None:
    back = verdict(failed(Fault.DNS, *([1] * times)), attempts=5_000, jitter=jitter)

    assert isinstance(back, Resubmit)
    assert 1.5 <= back.after <= 300


def test_two_proxies_are_enough_to_give_up_on_a_site_that_stays_ill() -> None:
    assert isinstance(verdict(failed(Fault.SERVER_ERROR, 1, 1, 1, 1)), Resubmit)
    assert ended(verdict(failed(Fault.SERVER_ERROR, 1, 1, 1, 2))) == "server_error on 2 proxies"


@pytest.mark.parametrize("fault", [Fault.HTTP_ERROR, Fault.TOO_LARGE, Fault.REDIRECTS])
def test_a_bad_page_is_asked_for_twice_more_elsewhere(fault: Fault) -> None:
    assert verdict(failed(fault, 1)) == Resubmit(0.0, charged=True)
    assert isinstance(verdict(failed(fault, 1, 2, 2)), Resubmit)
    assert ended(verdict(failed(fault, 1, 2, 3))) == f"{fault} on 3 proxies"
    assert ended(verdict(failed(fault, 1, 1), alive=1)) == f"{fault} on 1 proxy"


RAISED = "AttributeError: 'NoneType' object has no attribute 'strip' (movies.py:12)"


def raised(error: str, *proxies: int) -> list[FailedAttempt]:
    return [FailedAttempt(proxy, Fault.EXTRACT, error=error) for proxy in proxies]


def test_an_extractor_that_raises_the_same_error_at_the_same_line_is_tried_on_two_proxies() -> None:
    assert ended(verdict(raised(RAISED, 1, 2))) == f"extract on 2 proxies: {RAISED}"
    assert ended(verdict(raised(RAISED, 1) + raised(RAISED.replace("'None", "'Other"), 2))).startswith("extract on 2")


@pytest.mark.parametrize("other", [RAISED.replace("12", "13"), RAISED.replace("Attribute", "Type"), ""])
def test_another_error_or_another_line_needs_a_third_witness(other: str) -> None:
    assert isinstance(verdict(raised(RAISED, 1) + raised(other, 2)), Resubmit)


def test_one_of_the_two_works_elsewhere_if_any_proxy_does() -> None:
    assert isinstance(verdict(raised(RAISED, 1, 2), unbelieved=[1, 2]), Resubmit)
    assert isinstance(verdict(raised(RAISED, 1, 2), unbelieved=[1]), GiveUp)


def test_an_extractor_that_raises_needs_a_third_witness() -> None:
    """A block page makes an extractor raise as well."""
    assert isinstance(verdict(failed(Fault.EXTRACT, 1, 2)), Resubmit)
    assert ended(verdict(failed(Fault.EXTRACT, 1, 2, 3))) == "extract on 3 proxies"


def test_from_the_second_failure_on_the_next_witness_is_heard_a_little_later() -> None:
    """Several at the same moment may all have met the same hiccup of the site."""
    rests = [verdict(failed(Fault.RESET, *range(times)), attempts=9) for times in range(1, 8)]

    assert [rest.after for rest in rests if isinstance(rest, Resubmit)] == [0, 0.5, 0.5, 1, 2, 4, 8]


def test_a_page_does_not_wait_longer_for_reports_that_are_not_believed() -> None:
    """They cannot settle it: a last page that bad proxies met again and again kept its run waiting for minutes."""
    rests = [verdict(failed(Fault.RESET, *range(times)), unbelieved=range(20)) for times in range(2, 20)]

    assert [rest.after for rest in rests if isinstance(rest, Resubmit)] == [0.5] * 18


def test_two_proxies_that_say_different_things_do_not_agree() -> None:
    assert isinstance(verdict(failed(Fault.HTTP_ERROR, 1) + failed(Fault.REDIRECTS, 2)), Resubmit)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ((Fault.CRASH, Fault.CRASH, Fault.CRASH), "quarantined after 3 crashes"),
        ((Fault.HANG, Fault.HANG, Fault.HANG), "quarantined after 3 hangs"),
        ((Fault.CRASH, Fault.HANG, Fault.HANG), "quarantined after 1 crash and 2 hangs"),
    ],
)
def test_a_page_that_costs_three_workers_is_quarantined(faults: tuple[Fault, ...], reason: str) -> None:
    past = [one for fault in faults for one in failed(fault, None)]

    assert verdict(past[:2]) == Resubmit(0.0, charged=False)
    assert ended(verdict(past)) == reason


def test_failures_that_nobody_is_charged_with_come_to_an_end_too() -> None:
    past = failed(Fault.TIMEOUT, *range(20))

    assert isinstance(verdict(past[:19], unbelieved=range(20)), Resubmit)
    assert ended(verdict(past, unbelieved=range(20))) == "20 failures that settle nothing, the last timeout"


@st.composite
def histories(draw: st.DrawFn) -> Iterable[FailedAttempt]:
    """Endless failures on few or many proxies, of few or many kinds, some of them of a proxy that was asked."""
    proxies = st.integers(1, draw(st.integers(1, 70)))
    faults = st.sampled_from(draw(st.lists(st.sampled_from(Fault), min_size=1, max_size=4)))
    asked = st.sampled_from([fault for fault in Fault if FAULTS[fault].asked])
    rng = draw(st.randoms(use_true_random=False))
    pool = draw(st.lists(st.tuples(proxies, faults), max_size=20))
    pool.append(draw(st.tuples(proxies, asked)))
    return (FailedAttempt(proxy, fault) for proxy, fault in iter(lambda: rng.choice(pool), None))


@given(histories(), st.integers(1, 6), st.integers(0, 100), st.booleans(), st.sets(st.integers(1, 70)))
def test_every_task_ends_within_the_caps_and_never_on_one_proxys_word(
    history: Iterable[FailedAttempt], attempts: int, alive: int, index: bool, unbelieved: set[int]
) -> None:
    past: list[FailedAttempt] = []
    for one in history:
        past.append(one)
        last = verdict(past, attempts=attempts, alive=alive, unbelieved=unbelieved, index=index)
        if not isinstance(last, Resubmit):
            break
        assert sum(FAULTS[each.fault].asked for each in past) < 60 + 5 * attempts
        assert last.after == 0 or FAULTS[one.fault].charge not in (Charge.PROXY, Charge.WORKER)
        assert not (last.charged and FAULTS[one.fault].charge in (Charge.PROXY, Charge.WORKER))

    witnesses = {one.proxy for one in past if FAULTS[one.fault].charge not in (Charge.PROXY, Charge.WORKER)}
    if len(witnesses) < 2 and alive != 1:
        assert ended(last).startswith(("quarantined", "60 proxies", f"{5 * attempts} failures"))
    if isinstance(last, Believe):
        assert index
        assert past[-1].fault is Fault.EMPTY
