"""When a run that has never fetched a page ends, and how people are told what its proxies say."""

from __future__ import annotations

import pytest

from pinpool.model import Evidence, Fault, Sign, Step
from pinpool.policy.causes import never_answered
from pinpool.policy.proxy_reports import SECOND_LOOK, SURVEY, ProxyReports, Report, Survey, is_hopeless

NOBODY_LEFT = Survey(unasked=0, pending=0, again_in=0.0)
ANOTHER_LOOK = 1.5 * SECOND_LOOK


def reports(*faults: Fault, times: int = 1) -> dict[int, Report]:
    return {proxy: Report(fault, Step.HEAD, None, "", times) for proxy, fault in enumerate(faults, 1)}


def hopeless(said: dict[int, Report], survey: Survey = NOBODY_LEFT, elapsed: float = 1.0, latest: float = 0.0) -> bool:
    return is_hopeless(said, survey, elapsed=elapsed, latest=latest)


def heard(*said: tuple[Fault, int | None, str], step: Step = Step.PAGE) -> ProxyReports:
    found = ProxyReports(answered=False, listed=len(said))
    for proxy, (fault, status, message) in enumerate(said, 1):
        evidence = Evidence(step, Sign.STATUS, message, status)
        found.failed(proxy, fault, evidence, 0.1, 10.0)
    return found


@pytest.mark.parametrize("fault", [Fault.TLS, Fault.PROXY_AUTH, Fault.HTTP_ERROR, Fault.REDIRECTS])
def test_what_does_not_pass_ends_the_run_once_everybody_was_asked(fault: Fault) -> None:
    assert hopeless(reports(*[fault] * 5))
    assert not hopeless(reports(*[fault] * 5), Survey(unasked=1, pending=0, again_in=0.0))


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.BANNED, Fault.RESET, Fault.TIMEOUT, Fault.DNS])
def test_what_may_pass_is_looked_at_once_more_some_seconds_later(fault: Fault) -> None:
    assert not hopeless(reports(*[fault] * 5))
    assert hopeless(reports(*[fault] * 5), latest=ANOTHER_LOOK)


def test_a_list_that_rests_for_long_is_not_waited_for() -> None:
    assert hopeless(reports(*[Fault.REFUSED] * 5), Survey(unasked=0, pending=0, again_in=30.0))


def test_nor_is_one_that_the_site_asks_to_wait_for_long_before_all_of_it_was_asked() -> None:
    assert hopeless(reports(*[Fault.BANNED] * 9), Survey(unasked=1, pending=0, again_in=60.0))


@pytest.mark.parametrize("proxies", [1, 2])
def test_one_hiccup_of_a_short_list_does_not_end_the_run(proxies: int) -> None:
    rests = Survey(unasked=0, pending=0, again_in=30.0)

    assert not hopeless(reports(*[Fault.REFUSED] * proxies), rests)
    assert not hopeless(reports(*[Fault.REFUSED] * proxies), latest=ANOTHER_LOOK)
    assert hopeless(reports(*[Fault.REFUSED] * proxies, times=2), latest=ANOTHER_LOOK)


def test_a_site_that_turns_24_proxies_away_turns_all_away() -> None:
    many_left = Survey(unasked=900, pending=0, again_in=0.0)

    assert not hopeless(reports(*[Fault.BANNED] * (SURVEY - 1)), many_left, latest=ANOTHER_LOOK)
    assert hopeless(reports(*[Fault.BANNED] * SURVEY), many_left, latest=ANOTHER_LOOK)


def test_a_page_in_hand_elsewhere_is_waited_for() -> None:
    in_hand = Survey(unasked=70, pending=3, again_in=0.0)

    assert not hopeless(reports(*[Fault.BANNED] * 30), in_hand, latest=ANOTHER_LOOK)


def test_dead_proxies_say_nothing_of_the_next_one_on_the_list_as_long_as_there_is_time() -> None:
    many_left = Survey(unasked=900, pending=0, again_in=0.0)

    assert not hopeless(reports(*[Fault.CONNECT_TIMEOUT] * 30), many_left, elapsed=40.0, latest=ANOTHER_LOOK)
    assert hopeless(reports(*[Fault.CONNECT_TIMEOUT] * 30), many_left, elapsed=60.0, latest=ANOTHER_LOOK)


def test_few_workers_behind_black_holes_do_not_ask_for_longer_than_two_minutes() -> None:
    many_left = Survey(unasked=90, pending=1, again_in=0.0)

    assert not hopeless(reports(*[Fault.TIMEOUT] * 8), many_left, elapsed=100.0, latest=90.0)
    assert hopeless(reports(*[Fault.TIMEOUT] * 8), many_left, elapsed=120.0, latest=105.0)


def test_pages_that_came_but_hold_nothing_are_judged_by_other_rules() -> None:
    few = reports(*[Fault.REFUSED] * 7, Fault.EMPTY, Fault.EMPTY)

    assert not hopeless(reports(*[Fault.REFUSED] * 7, *[Fault.EMPTY] * 3), latest=ANOTHER_LOOK)
    assert hopeless(few, latest=ANOTHER_LOOK), "two are too few to be believed"


def test_a_page_ends_the_report_of_its_proxy_and_of_nobody_else() -> None:
    said = heard((Fault.BANNED, 403, ""), (Fault.BANNED, 403, ""), (Fault.TIMEOUT, None, ""))

    said.fetched(1)

    assert said.answered
    assert said.text() == "2 of 3 proxies failed (1 banned 403, 1 timeout)"


def test_failures_alike_are_named_once() -> None:
    said = heard((Fault.BANNED, 403, ""), (Fault.BANNED, 403, ""))
    said.listed = 10

    assert said.text() == "2 of 10 proxies failed (banned 403)"


def test_a_worker_that_crashes_says_nothing_of_its_proxy() -> None:
    assert heard((Fault.CRASH, None, "")).text() == ""


@pytest.mark.parametrize(
    ("fault", "status", "message", "cause", "remedy"),
    [
        (
            Fault.TLS,
            None,
            "TLS with the site: self-signed certificate; subject CN=a; issuer the same",
            "a certificate that is not trusted (self-signed certificate; subject CN=a; issuer the same)",
            "ca_bundle=FILE",
        ),
        (Fault.DNS, None, "", "name does not resolve", "the host in the seeds"),
        (Fault.PROXY_AUTH, 407, "", "refuse the login", "user and password in the list"),
        (Fault.HTTP_ERROR, 401, "", "got 401 Unauthorized", "on_pin"),
        (Fault.HTTP_ERROR, 402, "", "got 402 Payment Required", "provider"),
        (Fault.BANNED, 403, "", "got 403 Forbidden: the site turns them away", "--pace"),
        (Fault.BANNED, 429, "", "got 429 Too Many Requests", "--site-rate"),
        (Fault.BANNED, 200, "unusual traffic", "the same block page (unusual traffic)", "ban rule"),
        (Fault.SERVER_ERROR, 503, "", "got 503 Service Unavailable", "browser"),
        (Fault.CONNECT_TIMEOUT, None, "", "did not connect in time", "pinpool check"),
        (Fault.DEADLINE, None, "", "did not get a whole page in time", "--deadline"),
    ],
)
def test_the_cause_comes_with_its_remedy(
    fault: Fault, status: int | None, message: str, cause: str, remedy: str
) -> None:
    found = never_answered(heard(*[(fault, status, message)] * 3), unasked=0)

    assert found.what.startswith("no page was ever fetched: all 3 proxies ")
    assert cause in found.what
    assert remedy in found.remedy


def test_a_handshake_that_stalls_is_told_from_an_answer_that_does_not_come() -> None:
    stalls = never_answered(heard(*[(Fault.TIMEOUT, None, "")] * 3, step=Step.TLS), unasked=0)
    silent = never_answered(heard(*[(Fault.TIMEOUT, None, "")] * 3, step=Step.HEAD), unasked=0)

    assert "the TLS handshake stalls" in stalls.what
    assert "got no answer in time" in silent.what


def test_a_dead_list_is_counted_fault_by_fault() -> None:
    said = heard(*[(Fault.REFUSED, None, "")] * 3, (Fault.BANNED, 403, ""), (Fault.PROXY_AUTH, 407, ""))

    found = never_answered(said, unasked=0)

    assert found.what.endswith("all 5 proxies failed: 3 refused, 1 banned 403, 1 proxy_auth")
    assert "pinpool check" in found.remedy


def test_those_that_were_not_asked_are_mentioned() -> None:
    found = never_answered(heard(*[(Fault.BANNED, 403, "")] * 24), unasked=76)

    assert "all 24 proxies that were asked, of 100, got 403 Forbidden" in found.what
