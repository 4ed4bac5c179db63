"""Is it the site? Most proxies fail at once, site probes meet silence too, and the run pauses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.model import Charge, Fault
from pinpool.policy.circuit_breaker import FIRST_PAUSE, LONGEST_PAUSE, ROUNDS, BreakerState, CircuitBreaker
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import CAP_SECONDS


def all_fail(breaker: CircuitBreaker, proxies: int, fault: Fault = Fault.TIMEOUT, alive: int = 100) -> list[bool]:
    return [
        breaker.failed(proxy, 100 + proxy, fault, float(proxy), 0.0, in_use=proxies, alive=alive)
        for proxy in range(1, proxies + 1)
    ]


def down(proxies: int = 10) -> CircuitBreaker:
    """A site whose probes have all failed at second 0."""
    breaker = CircuitBreaker()
    all_fail(breaker, proxies)
    silence(breaker)
    return breaker


def silence(
    breaker: CircuitBreaker,
    now: float = 0.0,
    jitter: float = 0.5,
    retry_after: float | None = None,
    proxy: int = 1,
    untried: bool = False,
) -> bool:
    """A round of one probe. True if the run pauses."""
    breaker.probe_sent()
    breaker.probe_met_silence(proxy, retry_after)
    return breaker.probe_ended(now, jitter, untried=untried)


def test_when_most_proxies_have_failed_since_the_last_page_the_site_is_suspected() -> None:
    excused = all_fail(CircuitBreaker(), 10)

    assert excused == [False] * 5 + [True] * 5, "the sixth of ten is the first that is not blamed"


def test_a_page_in_between_clears_the_suspicion() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 4)

    breaker.site_answered(1000.0)
    later = [breaker.failed(proxy, 1, Fault.TIMEOUT, 2000.0, 0.0, in_use=8, alive=100) for proxy in (5, 6, 7, 8)]

    assert later == [False] * 4
    assert breaker.state is BreakerState.CLOSED


def test_the_same_few_proxies_failing_again_and_again_are_no_outage() -> None:
    breaker = CircuitBreaker()

    for task in range(100):
        assert not breaker.failed(task % 5 + 1, task, Fault.TIMEOUT, 1.0, 0.0, in_use=10, alive=10)


def test_a_page_that_was_fetched_before_the_failures_but_is_told_later_clears_nothing() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 10)

    breaker.site_answered(4.0)

    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.take_failures() == [(proxy, 100 + proxy) for proxy in range(5, 11)]


@pytest.mark.parametrize("alive", [1, 2])
def test_a_list_of_one_or_two_is_suspicious_as_soon_as_all_of_it_fails(alive: int) -> None:
    breaker = CircuitBreaker()

    excused = [
        breaker.failed(proxy, 1, Fault.TIMEOUT, 1.0, 0.0, in_use=alive, alive=alive) for proxy in range(1, alive + 1)
    ]

    assert excused == [False] * (alive - 1) + [True]


@pytest.mark.parametrize(
    "fault",
    [Fault.REFUSED, Fault.PROXY_AUTH, Fault.PROXY_TLS]
    + [fault for fault in Fault if FAULTS[fault].charge in (Charge.PAGE, Charge.WORKER)],
)
def test_what_a_silent_site_cannot_cause_raises_no_suspicion(fault: Fault) -> None:
    assert not any(all_fail(CircuitBreaker(), 20, fault))


@pytest.mark.parametrize("fault", [Fault.TUNNEL, Fault.UNREACHABLE, Fault.BANNED, Fault.SERVER_ERROR, Fault.DNS])
def test_what_a_silent_site_or_our_own_network_may_cause_does(fault: Fault) -> None:
    assert any(all_fail(CircuitBreaker(), 20, fault))


def test_probes_go_out_at_once_and_then_after_ever_longer_pauses() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 10)
    assert breaker.probes_due(0.0)

    pauses = []
    now = 0.0
    for _ in range(9):
        assert silence(breaker, now)
        pauses.append((breaker.pause_ends() or 0.0) - now)
        assert not breaker.probes_due(now)
        now += pauses[-1]
        assert breaker.probes_due(now)

    assert pauses == [5, 10, 20, 40, 80, 160, 240, 240, 240]


def test_the_site_is_down_only_when_the_last_probe_has_failed() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 10)
    for _ in range(3):
        breaker.probe_sent()

    pauses = []
    for _ in range(3):
        breaker.probe_met_silence(1, None)
        pauses.append(breaker.probe_ended(0.0, 0.5))

    assert pauses == [False, False, True]
    assert breaker.state is BreakerState.OPEN


def test_as_long_as_none_is_known_to_work_others_are_asked_before_the_run_pauses() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 3)

    pauses = [silence(breaker, proxy=10 + n, untried=n < 2) for n in range(3)]

    assert pauses == [False, False, True], "after the third there was nobody left to ask"
    assert breaker.silent == {1, 2, 3, 10, 11, 12}


def test_one_after_another_is_asked_not_for_ever() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 3)

    rounds = [silence(breaker, proxy=10 + n, untried=True) for n in range(9)]

    assert rounds == [False] * (ROUNDS - 1) + [True, True]


def test_a_round_that_asked_nobody_new_is_followed_by_a_pause() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 3)

    assert silence(breaker, proxy=2, untried=True)


def test_a_site_that_asks_for_patience_is_not_asked_through_others() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 3)

    assert silence(breaker, proxy=9, retry_after=60.0, untried=True)
    assert breaker.pause_ends() == 60.0


def test_rounds_that_tell_nothing_of_the_site_are_repeated_not_for_ever() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 3)

    pauses = []
    for _ in range(ROUNDS + 1):
        breaker.probe_sent()
        pauses.append(breaker.probe_ended(0.0, 0.5))

    assert pauses == [False] * (ROUNDS - 1) + [True, True]


def test_proxies_that_fail_by_their_own_doing_are_no_silence_of_the_site() -> None:
    """Each of them rests for it, so that the end of the list is near without any pause."""
    breaker = CircuitBreaker()
    all_fail(breaker, 3)

    pauses = []
    for _ in range(50):
        breaker.probe_sent()
        breaker.probe_met_bad_proxy()
        pauses.append(breaker.probe_ended(0.0, 0.5))

    assert not any(pauses)
    assert breaker.probes_due(0.0)


def test_what_a_site_asked_for_is_forgotten_when_it_answers() -> None:
    breaker = down()
    breaker.probe_sent()
    breaker.probe_met_silence(1, 1800.0)
    breaker.site_answered(1000.0)
    breaker.probe_ended(0.0, 0.5)

    all_fail(breaker, 10)
    silence(breaker)

    assert breaker.state is BreakerState.OPEN
    assert (breaker.pause_ends() or 0.0) <= FIRST_PAUSE * 1.25


def test_an_answer_clears_those_that_have_met_silence_before_it() -> None:
    breaker = down(5)

    breaker.site_answered(3.5)

    assert breaker.silent == {4, 5}


def test_one_probe_that_comes_back_is_proof_enough() -> None:
    breaker = CircuitBreaker()
    all_fail(breaker, 10)
    for _ in range(3):
        breaker.probe_sent()

    ended = breaker.site_answered(1000.0)
    late = [breaker.probe_ended(0.0, 0.5)]
    for _ in range(2):
        breaker.probe_met_silence(1, 1800.0)
        late.append(breaker.probe_ended(0.0, 0.5))

    assert not ended, "it was only suspected"
    assert late == [False, False, False]
    assert breaker.state is BreakerState.CLOSED


def test_all_failures_since_the_last_page_are_excused_once() -> None:
    breaker = down(5)

    first, second = breaker.take_failures(), breaker.take_failures()

    assert first == [(proxy, 100 + proxy) for proxy in range(1, 6)]
    assert second == []


def test_what_the_site_asks_for_lengthens_the_pause_within_reason() -> None:
    patient, absurd = down(), down()

    silence(patient, 0.0, retry_after=60.0)
    silence(absurd, 0.0, retry_after=1e9)

    assert patient.pause_ends() == 60.0
    assert absurd.pause_ends() == CAP_SECONDS


def test_the_silence_is_counted_from_the_first_suspicion_on() -> None:
    assert down().silent_seconds(90.0) == 90.0


@given(st.integers(0, 5_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_absurd(times: int, jitter: float) -> None:
    breaker = down()
    for _ in range(min(times, 40)):
        silence(breaker, 0.0, jitter)

    assert 0.75 * FIRST_PAUSE <= (breaker.pause_ends() or 0.0) <= LONGEST_PAUSE
