"""One call in a worker: what goes back to the parent, and what counts against the proxy."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import requests

from pinpool.calls.call_job import MAX_TRACE, CallJob, shown_trace
from pinpool.calls.sending import packed_call
from pinpool.fetch.diagnosis import attach
from pinpool.model import Call, Ending, Evidence, Fault, Sign, Step
from pinpool.policy.faults import fault_of
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

PIN = Pin(Lease(1, Proxy("http", "192.0.2.1", 80), False, 0.0), Settings())


def perform(function: Callable[..., Any], *arguments: object, **settings: Any) -> JobResult:
    return CallJob(Settings(**settings)).perform(PIN, Call(packed_call(function, arguments)))


def told(result: JobResult) -> tuple[str, str, str, str]:
    """(place, class, message, traceback) of a call that failed for its own reasons."""
    assert (result.ending, result.evidence) == (Ending.OK, None)
    good, what = pickle.loads(result.result or b"")
    assert not good
    place, kind, message, trace = what
    return place, kind, message, trace


def answered(status: int, *, by_pin: bool = True, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code, response.url = status, "http://site.test/film/1"
    response.headers.update(headers)
    response.connection = PIN.fetcher.session.pin if by_pin else requests.adapters.HTTPAdapter()
    return response


def add(left: int, right: int) -> int:
    return left + right


def fail(message: str) -> NoReturn:
    raise LookupError(message)


def ask(status: int, by_pin: bool) -> None:
    answered(status, by_pin=by_pin, **{"Retry-After": "7"}).raise_for_status()


def refuse() -> NoReturn:
    raise attach(requests.ConnectionError(), Evidence(Step.CONNECT, Sign.REFUSED, "connection refused"))


def generate() -> object:
    return (number for number in range(3))


def wait() -> None:
    while True:
        time.sleep(0.01)


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def be_odd() -> NoReturn:
    raise Odd


class Lost:
    """Can be pickled, and not be made again."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return fail, ("I stay here",)


def test_what_a_function_returns_goes_back() -> None:
    result = perform(add, 1, 2)

    assert (result.ending, pickle.loads(result.result or b"")) == (Ending.OK, (True, 3))


def test_an_error_goes_back_as_text_with_a_traceback_that_begins_in_the_function() -> None:
    place, kind, message, trace = told(perform(fail, "no film here"))

    assert (place, kind, message) == ("calling", "LookupError", "no film here")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "raise LookupError(message)" in trace
    assert "calls/call_job.py" not in trace


def test_an_error_without_a_text_is_an_error_all_the_same() -> None:
    place, kind, message, _ = told(perform(be_odd))

    assert (place, kind, message) == ("calling", "Odd", "(its text cannot be shown)")


def test_a_call_with_the_wrong_arguments_has_a_message_and_no_traceback_of_ours() -> None:
    _, kind, message, trace = told(perform(add, 1))

    assert (kind, trace) == ("TypeError", "")
    assert message == "add() missing 1 required positional argument: 'right'"


def test_it_is_said_where_a_call_failed_that_could_not_be_loaded_or_sent_back() -> None:
    assert told(perform(add, Lost(), 1))[:3] == ("loading", "LookupError", "I stay here")
    assert told(perform(generate))[:3] == ("sending", "TypeError", "cannot pickle 'generator' object")


def test_an_error_of_the_network_counts_against_the_proxy_and_keeps_its_traceback() -> None:
    result = perform(refuse)

    assert result.evidence is not None
    assert (result.ending, fault_of(result.evidence)) == (Ending.FAILED, Fault.REFUSED)
    assert "in refuse\n" in (result.result or b"").decode()


def test_a_call_that_takes_too_long_shows_where_it_was() -> None:
    result = perform(wait, deadline=0.05)

    assert result.evidence is not None
    assert fault_of(result.evidence) is Fault.DEADLINE
    assert "in wait\n" in (result.result or b"").decode()


@pytest.mark.parametrize(
    ("status", "fault"),
    [(403, Fault.BANNED), (429, Fault.BANNED), (418, Fault.HTTP_ERROR), (503, Fault.SERVER_ERROR)],
)
def test_a_status_that_raise_for_status_refuses_is_judged_as_in_a_crawl(status: int, fault: Fault) -> None:
    result = perform(ask, status, True)

    assert result.evidence is not None
    assert (fault_of(result.evidence), result.status, result.evidence.retry_after) == (fault, status, 7.0)


def test_which_statuses_are_a_ban_can_be_set() -> None:
    result = perform(ask, 418, True, ban_status=(418,))

    assert result.evidence is not None
    assert fault_of(result.evidence) is Fault.BANNED


@pytest.mark.parametrize(("status", "by_pin"), [(404, True), (410, True), (403, False)])
def test_a_page_that_is_gone_or_did_not_come_through_the_pin_is_the_callers_affair(status: int, by_pin: bool) -> None:
    _, kind, message, _ = told(perform(ask, status, by_pin))

    assert kind == "HTTPError"
    assert message.startswith(str(status))


def test_a_long_traceback_is_cut_between_words() -> None:
    try:
        fail("word " * 100_000)
    except LookupError as error:
        text = shown_trace(error)

    assert len(text) <= MAX_TRACE + 10
    assert "in fail\n" in text
    assert set(text.splitlines()[-1].split()) == {"word"}
