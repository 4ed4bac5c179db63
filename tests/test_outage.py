"""Is it the site? Most proxies fail at once, pages asked for again stay silent too, and the run holds its breath."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.model import Charge, Fault
from pinpool.policy.circuit_breaker import FIRST_PAUSE, LONGEST_PAUSE, ROUNDS, Mood, Outage
from pinpool.policy.faults import CHARGES
from pinpool.policy.reputation import CAP_SECONDS


def all_fail(outage: Outage, proxies: int, fault: Fault = Fault.TIMEOUT, alive: int = 100) -> list[bool]:
    return [
        outage.failed(proxy, 100 + proxy, fault, float(proxy), 0.0, in_use=proxies, alive=alive)
        for proxy in range(1, proxies + 1)
    ]


def down(proxies: int = 10) -> Outage:
    """An outage whose canaries have all failed at second 0."""
    outage = Outage()
    all_fail(outage, proxies)
    silence(outage)
    return outage


def silence(
    outage: Outage,
    now: float = 0.0,
    jitter: float = 0.5,
    retry_after: float | None = None,
    proxy: int = 1,
    strangers: bool = False,
) -> bool:
    """A round of one canary. True if the run pauses."""
    outage.sent()
    outage.silenced(proxy, retry_after)
    outage.returned()
    return outage.concluded(now, jitter, strangers=strangers)


def test_when_most_proxies_have_failed_since_the_last_page_the_site_is_suspected() -> None:
    excused = all_fail(Outage(), 10)

    assert excused == [False] * 5 + [True] * 5, "the sixth of ten is the first that is not blamed"


def test_a_page_in_between_clears_the_suspicion() -> None:
    outage = Outage()
    all_fail(outage, 4)

    outage.answered(1000.0)
    later = [
        outage.failed(proxy, 1, Fault.TIMEOUT, 2000.0, 0.0, in_use=8, alive=100) for proxy in (5, 6, 7, 8)
    ]

    assert later == [False] * 4
    assert outage.mood is Mood.WELL


def test_the_same_few_proxies_failing_again_and_again_are_no_outage() -> None:
    outage = Outage()

    for task in range(100):
        assert not outage.failed(task % 5 + 1, task, Fault.TIMEOUT, 1.0, 0.0, in_use=10, alive=10)


def test_a_page_that_was_fetched_before_the_failures_but_is_told_later_clears_nothing() -> None:
    outage = Outage()
    all_fail(outage, 10)

    outage.answered(4.0)

    assert outage.mood is Mood.SUSPECTED
    assert outage.excused() == [(proxy, 100 + proxy) for proxy in range(5, 11)]


@pytest.mark.parametrize("alive", [1, 2])
def test_a_list_of_one_or_two_is_suspicious_as_soon_as_all_of_it_fails(alive: int) -> None:
    outage = Outage()

    excused = [
        outage.failed(proxy, 1, Fault.TIMEOUT, 1.0, 0.0, in_use=alive, alive=alive)
        for proxy in range(1, alive + 1)
    ]

    assert excused == [False] * (alive - 1) + [True]


@pytest.mark.parametrize(
    "fault",
    [Fault.REFUSED, Fault.PROXY_AUTH, Fault.PROXY_TLS]
    + [fault for fault in Fault if CHARGES[fault] in (Charge.PAGE, Charge.WORKER)],
)
def test_what_a_silent_site_cannot_cause_raises_no_suspicion(fault: Fault) -> None:
    assert not any(all_fail(Outage(), 20, fault))


@pytest.mark.parametrize(
    "fault", [Fault.TUNNEL, Fault.UNREACHABLE, Fault.BANNED, Fault.SERVER_ERROR, Fault.DNS]
)
def test_what_a_silent_site_or_our_own_network_may_cause_does(fault: Fault) -> None:
    assert any(all_fail(Outage(), 20, fault))


def test_canaries_go_out_at_once_and_then_after_ever_longer_pauses() -> None:
    outage = Outage()
    all_fail(outage, 10)
    assert outage.due(0.0)

    pauses = []
    now = 0.0
    for _ in range(9):
        assert silence(outage, now)
        pauses.append((outage.next_moment() or 0.0) - now)
        assert not outage.due(now)
        now += pauses[-1]
        assert outage.due(now)

    assert pauses == [5, 10, 20, 40, 80, 160, 240, 240, 240]


def test_the_site_is_down_only_when_the_last_canary_has_failed() -> None:
    outage = Outage()
    all_fail(outage, 10)
    for _ in range(3):
        outage.sent()

    told = []
    for _ in range(3):
        outage.silenced(1, None)
        outage.returned()
        told.append(outage.concluded(0.0, 0.5))

    assert told == [False, False, True]
    assert outage.mood is Mood.DOWN


def test_as_long_as_none_is_known_to_work_others_are_asked_before_the_run_pauses() -> None:
    outage = Outage()
    all_fail(outage, 3)

    told = [silence(outage, proxy=10 + n, strangers=n < 2) for n in range(3)]

    assert told == [False, False, True], "after the third there was nobody left to ask"
    assert outage.silent == {1, 2, 3, 10, 11, 12}


def test_one_after_another_is_asked_not_for_ever() -> None:
    outage = Outage()
    all_fail(outage, 3)

    rounds = [silence(outage, proxy=10 + n, strangers=True) for n in range(9)]

    assert rounds == [False] * (ROUNDS - 1) + [True, True]


def test_a_round_that_asked_nobody_new_is_followed_by_a_pause() -> None:
    outage = Outage()
    all_fail(outage, 3)

    assert silence(outage, proxy=2, strangers=True)


def test_a_site_that_asks_for_patience_is_not_asked_through_others() -> None:
    outage = Outage()
    all_fail(outage, 3)

    assert silence(outage, proxy=9, retry_after=60.0, strangers=True)
    assert outage.next_moment() == 60.0


def test_rounds_that_tell_nothing_of_the_site_are_repeated_not_for_ever() -> None:
    outage = Outage()
    all_fail(outage, 3)

    told = []
    for _ in range(ROUNDS + 1):
        outage.sent()
        outage.returned()
        told.append(outage.concluded(0.0, 0.5))

    assert told == [False] * (ROUNDS - 1) + [True, True]


def test_proxies_that_fail_by_their_own_doing_are_no_silence_of_the_site() -> None:
    """Each of them rests for it, so that the end of the list is near without any pause."""
    outage = Outage()
    all_fail(outage, 3)

    told = []
    for _ in range(50):
        outage.sent()
        outage.accused()
        outage.returned()
        told.append(outage.concluded(0.0, 0.5))

    assert not any(told)
    assert outage.due(0.0)


def test_what_a_site_asked_for_is_forgotten_when_it_answers() -> None:
    outage = down()
    outage.sent()
    outage.silenced(1, 1800.0)
    outage.answered(1000.0)
    outage.returned()

    all_fail(outage, 10)
    silence(outage)

    assert outage.mood is Mood.DOWN
    assert (outage.next_moment() or 0.0) <= FIRST_PAUSE * 1.25


def test_an_answer_clears_those_that_have_met_silence_before_it() -> None:
    outage = down(5)

    outage.answered(3.5)

    assert outage.silent == {4, 5}


def test_one_canary_that_comes_back_is_proof_enough() -> None:
    outage = Outage()
    all_fail(outage, 10)
    for _ in range(3):
        outage.sent()

    outage.returned()
    ended = outage.answered(1000.0)
    late = []
    for _ in range(2):
        outage.silenced(1, 1800.0)
        outage.returned()
        late.append(outage.concluded(0.0, 0.5))

    assert not ended, "it was only suspected"
    assert late == [False, False]
    assert outage.mood is Mood.WELL


def test_all_failures_since_the_last_page_are_excused_once() -> None:
    outage = down(5)

    first, second = outage.excused(), outage.excused()

    assert first == [(proxy, 100 + proxy) for proxy in range(1, 6)]
    assert second == []


def test_what_the_site_asks_for_lengthens_the_pause_within_reason() -> None:
    patient, absurd = down(), down()

    silence(patient, 0.0, retry_after=60.0)
    silence(absurd, 0.0, retry_after=1e9)

    assert patient.next_moment() == 60.0
    assert absurd.next_moment() == CAP_SECONDS


def test_people_are_told_why_the_run_waits_and_for_how_long() -> None:
    outage = down()

    said = outage.words(1.0)

    assert said == "every proxy fails (timeout): the site seems to be down; asked again in 4 s"
    assert outage.seconds(90.0) == 90.0


@given(st.integers(0, 5_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_absurd(times: int, jitter: float) -> None:
    outage = down()
    for _ in range(min(times, 40)):
        silence(outage, 0.0, jitter)

    assert 0.75 * FIRST_PAUSE <= (outage.next_moment() or 0.0) <= LONGEST_PAUSE
