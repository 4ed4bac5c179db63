"""The proxy check: each fault is told apart, no attempt outlasts its time, and no proxy waits for another."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from labs import HTTP, OPEN_HTTP, OPEN_SOCKS, SOCKS, authority, faulty, tls_lab
from peers import PATIENCE, Line, Peer, answer, answering
from pinpool.check import probe as checking
from pinpool.check.probe import GRACE, check, conclude, settings_for
from pinpool.check.result import Finding, shared_exits
from pinpool.lab import SECRET, Lab
from pinpool.model import Evidence, Fault, Fetched, Sign, Step
from pinpool.pool.clock import FakeClock
from pinpool.proxies.parse import parse
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.tasks import request

__all__ = ["authority", "tls_lab"]  # fixtures

ANSWERED = settings_for(PATIENCE)
#: For what never answers: long enough for a busy machine to come to the fault itself.
SHORT = settings_for(1.0)
BOTH = pytest.mark.parametrize("index", [HTTP, SOCKS])


def findings(proxies: list[Proxy], url: str, settings: Settings = ANSWERED, workers: int = 100) -> list[Finding]:
    return [one for one in check(proxies, request(url), settings, workers) if one is not None]


def listed(lab: Lab, *indexes: int) -> list[Proxy]:
    return list(parse("\n".join(lab.proxies[index].url for index in indexes), "lab").proxies)


def through(lab: Lab, index: int, url: str, settings: Settings = ANSWERED) -> Finding:
    """The finding of one proxy, which must not show the password."""
    (found,) = findings(listed(lab, index), url, settings)
    assert SECRET not in f"{found} {found.proxy}"
    return found


# ---------------------------------------------------------------------------------------------- what is found


def test_good_proxies_of_every_kind_work_and_show_their_exits() -> None:
    with Lab(pages=1) as lab:
        found = findings(listed(lab, *range(8)), f"{lab.named_url}/echo")

        assert {one.proxy.port: one.exit for one in found} == {one.port: one.exit_address for one in lab.proxies}
        assert {(one.fault, one.message, one.status) for one in found} == {(None, "", 200)}


@BOTH
@pytest.mark.parametrize(
    ("fault", "expected", "settings"),
    [
        ("refused", Fault.REFUSED, ANSWERED),
        ("auth", Fault.PROXY_AUTH, ANSWERED),
        ("ban", Fault.BANNED, ANSWERED),
        ("reset", Fault.RESET, ANSWERED),
        ("blackhole", Fault.DEADLINE, SHORT),
        ("drip", Fault.DEADLINE, SHORT),
        ("softban", None, ANSWERED),  # only a spider knows what its pages look like
    ],
)
def test_every_fault_of_a_proxy_is_found(index: int, fault: str, expected: Fault | None, settings: Settings) -> None:
    with faulty(fault, index, ban_after=0) as lab:
        found = through(lab, index, f"{lab.named_url}/page/1", settings)

    assert (found.fault, bool(found.message)) == (expected, expected is not None)


@pytest.mark.parametrize("index", [HTTP, SOCKS, OPEN_HTTP, OPEN_SOCKS])
def test_an_https_site_is_checked_through_a_tunnel(
    index: int, tls_lab: Lab, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trusting = Settings(ca_bundle=str(tmp_path / "ca.pem"))

    found = through(tls_lab, index, f"{tls_lab.named_tls_url}/echo", trusting)
    doubted = through(tls_lab, index, f"{tls_lab.named_tls_url}/echo")

    assert (found.fault, found.exit) == (None, tls_lab.proxies[index].exit_address)
    assert doubted.fault is Fault.TLS


@BOTH
@pytest.mark.parametrize("path", ["/drip-head", "/drip-body"])
def test_a_drip_ends_at_the_time_out_in_a_thread_too(index: int, path: str) -> None:
    with Lab(pages=1) as lab:
        found = through(lab, index, lab.named_url + path, SHORT)

    assert found.fault is Fault.DEADLINE
    assert found.message.endswith(" (1 s)")


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/redirect/3", None),
        ("/status/204", None),
        ("/status/304", None),
        ("/status/403", Fault.BANNED),
        ("/status/429", Fault.BANNED),
        ("/status/404", Fault.HTTP_ERROR),
        ("/status/410", Fault.HTTP_ERROR),
        ("/status/503", Fault.SERVER_ERROR),
        ("/redirect/11", Fault.REDIRECTS),
        ("/truncated", Fault.TRUNCATED),
        ("/bomb", Fault.TOO_LARGE),
        ("/huge", Fault.TOO_LARGE),
    ],
)
def test_only_a_complete_answer_that_is_a_page_counts(path: str, fault: Fault | None) -> None:
    with Lab(pages=1, proxies=1) as lab:
        found = through(lab, 0, lab.named_url + path)

    assert (found.fault, found.exit) == (fault, None)


def test_a_407_comes_from_the_proxy_but_behind_a_tunnel_from_the_site() -> None:
    plain_http = Fetched("http://site.test/", 407, {}, b"", 0.1, 0)
    https = plain_http._replace(url="https://site.test/")
    plain, socks = Proxy("http", "10.0.0.1", 1), Proxy("socks5h", "10.0.0.1", 1)

    faults = [
        conclude(proxy, found, 0.1, ANSWERED).fault
        for proxy, found in [(plain, plain_http), (plain, https), (socks, plain_http)]
    ]

    assert faults == [Fault.PROXY_AUTH, Fault.HTTP_ERROR, Fault.HTTP_ERROR]


def test_entries_with_one_exit_are_named() -> None:
    with Lab(pages=1) as lab:
        place = f"127.0.0.1:{lab.proxies[OPEN_HTTP].port}"  # it takes any login
        proxies = [*parse(f"anna:x@{place}\nbert:y@{place}", "list").proxies, *listed(lab, HTTP, SOCKS)]

        found = sorted(findings(proxies, f"{lab.named_url}/echo"), key=lambda one: proxies.index(one.proxy))

        assert shared_exits(found) == {
            lab.proxies[OPEN_HTTP].exit_address: [f"http://anna@{place}", f"http://bert@{place}"]
        }


# ---------------------------------------------------------------------------------------------- all at once


def test_all_are_tried_at_once_so_one_without_an_answer_does_not_delay_the_others() -> None:
    together, over = threading.Barrier(8, timeout=PATIENCE), threading.Event()

    def meeting(request: str) -> bytes:
        together.wait()  # until all eight are asked
        return answer()

    def silent_to_the_end(line: Line) -> None:
        line.head()
        over.wait(PATIENCE)
        line.reset()

    found: list[Finding] = []
    with Peer(answering(meeting)) as peer, Peer(silent_to_the_end) as silent:
        good = [peer.proxy(username=f"u{number}", password="x") for number in range(8)]
        for one in check([silent.proxy(), *good], request("http://site.test/"), ANSWERED):
            found += [one] if one else []
            if len(found) == len(good):
                over.set()

    assert [one.fault for one in found] == [None] * 8 + [Fault.RESET]


def test_no_more_are_tried_at_once_than_workers() -> None:
    pair, lock, asked, most = threading.Barrier(2, timeout=PATIENCE), threading.Lock(), 0, 0

    def counting(request: str) -> bytes:
        nonlocal asked, most
        with lock:
            asked += 1
            most = max(most, asked)
        pair.wait()
        with lock:
            asked -= 1
        return answer()

    with Peer(answering(counting)) as peer:
        proxies = [peer.proxy(username=f"u{number}", password="x") for number in range(8)]

        found = findings(proxies, "http://site.test/", workers=2)

    assert most == 2
    assert {one.proxy for one in found} == set(proxies)


def test_each_proxy_is_asked_once() -> None:
    with Peer(answering(answer(b"", "502 Bad Gateway"))) as peer:
        (found,) = findings([peer.proxy()], "http://site.test/")

        assert (found.fault, len(peer.heads)) == (Fault.SERVER_ERROR, 1)


class LookUp:
    """A name server that never answers for ``lost.test``, until `end`."""

    def __init__(self) -> None:
        self._over, self._threads, self._real = (
            threading.Event(),
            list[threading.Thread](),
            socket.getaddrinfo,
        )

    def __call__(self, host: Any, *args: Any, **options: Any) -> Any:
        if host == "lost.test":
            self._threads.append(threading.current_thread())
            self._over.wait(PATIENCE)
            raise socket.gaierror
        return self._real(host, *args, **options)

    def end(self) -> None:
        """Answer, and wait until the threads that asked have ended."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)


def test_a_look_up_that_nothing_can_end_is_abandoned_and_another_proxy_takes_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endless = LookUp()

    def answer_at_last(request: str) -> bytes:
        endless.end()  # what comes of the look-up now comes too late
        return answer()

    monkeypatch.setattr(socket, "getaddrinfo", endless)
    clock, results = FakeClock(), []
    with Peer(answering(answer_at_last)) as peer:
        lost, good = Proxy("http", "lost.test", 8080), peer.proxy()

        for found in check([lost, good], request("http://site.test/"), settings_for(20.0), workers=1, clock=clock):
            if found:
                results.append((found.proxy, found.fault, round(found.seconds)))
            else:  # meanwhile the caller can show progress
                clock.advance(20.0 + GRACE + 1 if not results else 0.0)

    assert results == [(lost, Fault.DEADLINE, 26), (good, None, 0)]


def test_a_machine_short_of_threads_is_not_held_against_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    (found,) = findings([Proxy("http", "10.0.0.1", 1)], "http://site.test/")

    assert (found.fault, found.message) == (
        Fault.CRASH,
        "no more threads on this machine; fewer workers, or a higher limit",
    )


def test_a_bug_in_pinpool_itself_is_a_finding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "Fetcher", lambda proxy, settings: 1 / 0)

    (found,) = findings([Proxy("http", "10.0.0.1", 1)], "http://site.test/")

    assert (found.fault, found.message) == (Fault.CRASH, "ZeroDivisionError in pinpool itself")


def test_the_time_limit_is_named_only_where_it_was_exceeded() -> None:
    late = Evidence(Step.HEAD, Sign.DEADLINE, "too late")
    refused = Evidence(Step.CONNECT, Sign.REFUSED, "refused")

    messages = [conclude(Proxy("http", "10.0.0.1", 1), one, 1.0, SHORT).message for one in (late, refused)]

    assert messages == ["too late (1 s)", "refused"]
