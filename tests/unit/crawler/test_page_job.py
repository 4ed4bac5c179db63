"""What a worker makes of one answer, without a network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import requests

from pinpool.crawler.page_job import PageJob, refused_login_or_ban, warm
from pinpool.errors import DeadlinePassed, FetchFailed
from pinpool.fetch.diagnosis import attach
from pinpool.model import Assignment, Ending, Evidence, Fetched, Sign, Step
from pinpool.pool.pin import Pin
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.spider.spider import Spider
from pinpool.tasks import request


def pin(*, served: bool) -> Pin:
    return cast(Pin, SimpleNamespace(served=served))


def test_a_refused_login_is_believed_from_a_proxy_that_has_not_served_yet() -> None:
    refused = Evidence(Step.PROXY, Sign.AUTH, "login refused", 407)

    assert refused_login_or_ban(refused, pin(served=False), request("http://site.test/")) == refused


def test_a_407_from_a_proxy_that_has_served_pages_may_be_the_sites_own_word() -> None:
    """Else a hostile site could have proxy after proxy retired."""
    refused = Evidence(Step.PROXY, Sign.AUTH, "login refused", 407)

    plain = refused_login_or_ban(refused, pin(served=True), request("http://site.test/"))
    secure = refused_login_or_ban(refused, pin(served=True), request("https://site.test/"))

    assert (plain.step, plain.sign) == (Step.PAGE, Sign.BAN)
    assert secure == refused


@pytest.mark.parametrize(("value", "ending"), [("x", Ending.OK), ("", Ending.FAILED)])
def test_what_was_forgiven_in_an_answer_goes_with_what_came_of_it(value: str, ending: Ending) -> None:
    spider = Spider(["http://site.test/"])
    spider.index(lambda page: {"url": page.url, "value": value})
    answer = Fetched("http://site.test/", 200, {}, b"<p>", 0.1, 3, note="the gzip data are cut off")
    fetcher = SimpleNamespace(fetch=lambda *_: answer, session=SimpleNamespace(pin=SimpleNamespace(asks_proxy=bool)))
    lease = SimpleNamespace(address=Proxy("http", "192.0.2.1", 8080))

    result = PageJob(spider, Settings()).perform(
        cast(Pin, SimpleNamespace(fetcher=fetcher, lease=lease)), Assignment(request("http://site.test/"))
    )

    assert result is not None and result.ending is ending
    assert "gzip" in (result.evidence.message if result.evidence else result.note)


# --- on_pin


def warming(error: BaseException | None = None) -> Spider:
    spider = Spider(["http://site.test/"])

    @spider.on_pin
    def log_in(session: requests.Session) -> None:
        session.headers["X-Ticket"] = "7"
        if error is not None:
            raise error

    return spider


def test_on_pin_gets_the_session_and_a_spider_without_one_needs_none() -> None:
    session = requests.Session()

    warm(Spider(["http://site.test/"]), session)
    warm(warming(), session)

    assert session.headers["X-Ticket"] == "7"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no ticket"),
        SystemExit(3),
        requests.HTTPError("403"),
        requests.TooManyRedirects("in a circle"),
    ],
)
def test_whatever_on_pin_raises_counts_as_the_proxys_and_never_as_the_pages(error: BaseException) -> None:
    with pytest.raises(FetchFailed) as failed:
        warm(warming(error), requests.Session())

    found = failed.value.evidence
    assert (found.step, found.sign) == (Step.PAGE, Sign.BAN)
    assert found.message.startswith(f"on_pin: {type(error).__name__}: ")


def test_a_failure_of_the_network_in_on_pin_is_reported_as_it_is() -> None:
    seen = Evidence(Step.CONNECT, Sign.REFUSED, "connecting to the proxy was refused")

    with pytest.raises(FetchFailed) as failed:
        warm(warming(attach(requests.ConnectionError(), seen)), requests.Session())

    assert failed.value.evidence == seen._replace(message=f"on_pin: {seen.message}")


def test_the_deadline_ends_on_pin_too() -> None:
    with pytest.raises(DeadlinePassed):
        warm(warming(DeadlinePassed()), requests.Session())
