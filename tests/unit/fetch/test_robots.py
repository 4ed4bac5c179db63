"""What a robots.txt says, and what each answer to the request for it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.errors import FetchFailed
from pinpool.fetch.robots import MAX_BYTES, MAX_DELAY, Rules, ask_robots, rules_in
from pinpool.model import Evidence, Fetched, Sign, Step, Task

SITE = "https://site.example"
AGENT = "Mozilla/5.0 (compatible; pinpool)"
TEXT = b"""\
User-agent: *
Disallow: /search
Allow: /search/about
Disallow: /*.pdf$
Crawl-delay: 2.5

User-agent: pinpool
Disallow: /private

User-agent: otherbot
Disallow: /
"""


def answered(body: bytes = b"", status: int = 200) -> Fetched:
    return Fetched(f"{SITE}/robots.txt", status, {}, body, 0.1, len(body))


def rules(body: bytes = b"", status: int = 200) -> Rules:
    return rules_in(answered(body, status))


class Site:
    """Gives the same answer to every request."""

    def __init__(self, answer: Fetched | Evidence) -> None:
        self.answer = answer
        self.asked: list[Task] = []

    def fetch(self, task: Task, until: float) -> Fetched:
        self.asked.append(task)
        if isinstance(self.answer, Evidence):
            raise FetchFailed(self.answer)
        return self.answer


@pytest.mark.parametrize(
    ("path", "agent", "allowed"),
    [
        ("/film/1", "somebody", True),
        ("/search?q=heat", "somebody", False),
        ("/search/about", "somebody", True),
        ("/list.pdf", "somebody", False),
        ("/list.pdf?page=2", "somebody", True),
        ("/search?q=heat", AGENT, True),
        ("/private/1", AGENT, False),
        ("/film/1", "Mozilla/5.0 (compatible; OtherBot/2.0)", False),
    ],
)
def test_the_group_that_names_our_agent_decides_and_the_longest_rule_in_it(
    path: str, agent: str, allowed: bool
) -> None:
    assert rules(TEXT).allow(SITE + path, agent) is allowed


@pytest.mark.parametrize("named", ["films", "FILMS", "films bot", "films*", "films * # ours", "films/2.0 beta"])
def test_an_agent_goes_up_to_the_first_blank_or_star(named: str) -> None:
    """As Google reads it."""
    told = rules(f"user-agent: {named}\nDisallow: /\n".encode())

    assert not told.allow(f"{SITE}/film/1", "films/2.0 (+https://films.example)")
    assert told.allow(f"{SITE}/film/1", "somebody")


def test_a_crawl_delay_is_that_of_our_group() -> None:
    assert rules(TEXT).delay("somebody") == 2.5
    assert rules(TEXT).delay(AGENT) == 0.0


@pytest.mark.parametrize(("wanted", "kept"), [("0.5", 0.5), ("86400", MAX_DELAY), ("nan", 0), ("-3", 0), ("soon", 0)])
def test_no_crawl_delay_stops_a_run(wanted: str, kept: float) -> None:
    assert rules(f"User-agent: *\nCrawl-delay: {wanted}".encode()).delay(AGENT) == kept


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 410, 451, 304])
def test_a_site_without_the_file_forbids_nothing(status: int) -> None:
    assert rules(b"User-agent: *\nDisallow: /", status).allow(f"{SITE}/film/1", AGENT)


@pytest.mark.parametrize(("status", "sign"), [(500, Sign.STATUS), (503, Sign.STATUS), (429, Sign.BAN)])
def test_a_site_that_cannot_answer_now_is_asked_again_before_any_page(status: int, sign: Sign) -> None:
    site = Site(answered(b"", status))

    with pytest.raises(FetchFailed) as failed:
        ask_robots(site.fetch, f"{SITE}/film/1", 0.0)

    assert failed.value.evidence[:2] == (Step.PAGE, sign)
    assert failed.value.evidence.message == f"robots.txt: answered with status {status}"


def test_a_failed_fetch_is_evidence_that_names_robots_txt() -> None:
    site = Site(Evidence(Step.HEAD, Sign.TIMEOUT, "no answer"))

    with pytest.raises(FetchFailed) as failed:
        ask_robots(site.fetch, f"{SITE}/film/1", 0.0)

    assert failed.value.evidence == Evidence(Step.HEAD, Sign.TIMEOUT, "robots.txt: no answer")


def test_endless_redirects_forbid_nothing() -> None:
    site = Site(Evidence(Step.PAGE, Sign.REDIRECTS, "more than 10 redirects", 302))

    assert ask_robots(site.fetch, f"{SITE}/film/1", 0.0).allow(f"{SITE}/film/1", AGENT)


def test_the_file_of_the_pages_own_origin_is_asked_for() -> None:
    site = Site(answered())

    ask_robots(site.fetch, "http://site.example:8080/robots/a?b=c", 0.0)

    assert [task.url for task in site.asked] == ["http://site.example:8080/robots.txt"]


def test_a_byte_order_mark_and_nuls_hide_no_rule() -> None:
    assert not rules(b"\xef\xbb\xbfUser-agent: *\nDis\0allow: /").allow(f"{SITE}/film/1", AGENT)


def test_no_more_than_the_standards_half_megabyte_is_read() -> None:
    head = b"User-agent: *\nDisallow: /early\n"
    body = head + b"#" * MAX_BYTES + b"\nDisallow: /late\n"

    assert not rules(body).allow(f"{SITE}/early", AGENT)
    assert rules(body).allow(f"{SITE}/late", AGENT)


def test_a_file_that_would_take_minutes_to_read_is_not_read() -> None:
    body = "".join(f"User-agent: a{n}\n" for n in range(10_000)) + "Disallow: /x\n" * 10_000

    with pytest.raises(FetchFailed) as failed:
        rules(body.encode())

    assert failed.value.evidence.sign is Sign.TOO_LARGE


def test_a_file_with_many_agents_and_rules_is_read() -> None:
    body = "".join(f"User-agent: a{n}\n" for n in range(500)) + "".join(f"Disallow: /{n}/\n" for n in range(2000))

    assert not rules(body.encode()).allow(f"{SITE}/1999/x", "a7")


def test_how_long_a_site_asks_to_wait_is_passed_on() -> None:
    site = Site(answered(b"", 429)._replace(headers={"retry-after": "7"}))

    with pytest.raises(FetchFailed) as failed:
        ask_robots(site.fetch, f"{SITE}/film/1", 0.0)

    assert failed.value.evidence.retry_after == 7.0


FIELDS = st.sampled_from(["User-agent", "Disallow", "Allow", "Crawl-delay", "Request-rate", "Visit-time", "Sitemap"])
VALUES = st.text(max_size=20) | st.sampled_from(["*", "/", "/*$", "1/0", "0/5", "9e999", "1/1s 0600-9999", "%", "//["])
LINES = st.lists(st.tuples(FIELDS, VALUES), max_size=8)


@given(
    LINES,
    st.sampled_from([f"{SITE}/film/1", "http://[::1]:8080/?q=[", f"{SITE}/%zz*$", f"{SITE}/robots.txt"]),
)
def test_no_file_makes_a_worker_fail(lines: list[tuple[str, str]], url: str) -> None:
    found = rules("\n".join(f"{field}: {value}" for field, value in lines).encode("utf-8", "replace"))

    assert found.allow(url, AGENT) in (True, False)
    assert 0 <= found.delay(AGENT) <= MAX_DELAY
