"""The lab knows who used which proxy when, shows no password, and leaves nothing behind when it stops."""

from __future__ import annotations

import os
import socket
import struct
import threading
import warnings
from pathlib import Path

import pytest
import trustme
import urllib3
from urllib3.exceptions import ReadTimeoutError

import labs
from labs import (
    DEADLINE,
    EVERY_KIND,
    HTTP,
    OPEN_HTTP,
    OPEN_SOCKS,
    client,
    faulty,
    get,
    plug,
    read_until,
    status,
)
from pinpool.lab import SECRET, Lab

authority, tls_lab = labs.authority, labs.tls_lab


# --- who used which proxy when


@EVERY_KIND
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_client_that_leaves_is_ended_at_once_though_its_answer_never_comes(
    tls_lab: Lab, authority: trustme.CA, index: int, secure: bool
) -> None:
    proxy = tls_lab.proxies[index]
    base = tls_lab.named_tls_url if secure else tls_lab.named_url
    tls_lab.set_site_fault("/detail/1", "silent")

    with client(proxy, authority=authority) as web, pytest.raises(ReadTimeoutError):
        web.request("GET", base + "/detail/1", timeout=urllib3.Timeout(connect=DEADLINE, read=0.3))
    tls_lab.wait_for(lambda: (proxy.users, proxy.open) == (0, 0), DEADLINE)
    tls_lab.wait_for(lambda: tls_lab.requests[-1].ended is not None, DEADLINE)

    assert tls_lab.requests[-1].status is None
    assert proxy.max_users == 1


@pytest.mark.parametrize("index", [OPEN_HTTP, OPEN_SOCKS])
def test_two_clients_at_once_differ_from_two_in_turn(index: int) -> None:
    with Lab(pages=1) as lab:
        proxy = lab.proxies[index]
        with client(proxy) as first, client(proxy) as second:
            status(first, lab.named_url + "/page/1")
            status(second, lab.named_url + "/page/1")
            assert (proxy.max_users, proxy.open) == (1, 2)

            waiting = first.urlopen("GET", lab.named_url + "/drip-body", preload_content=False)
            status(second, lab.named_url + "/page/1")
            waiting.close()

        assert proxy.max_users == 2
        lab.wait_for(lambda: (proxy.users, proxy.open) == (0, 0), DEADLINE)
        with client(proxy) as third:
            status(third, lab.named_url + "/page/1")
        assert proxy.connections == 3


def test_a_reset_and_the_next_request_in_one_turn_of_the_loop_are_one_user() -> None:
    """A killed worker's connection is over before another takes its proxy, whatever the lab hears first."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        release.wait(DEADLINE)

    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as second:
        proxy = lab.proxies[OPEN_HTTP]
        lab.set_site_fault("/detail/1", "silent")
        with plug(proxy.port) as first:
            second.sendall(get(lab.named_url + "/page/1"))
            read_until(second, b"</html>")
            first.sendall(get(lab.named_url + "/detail/1"))
            lab.wait_for(lambda: len(lab.requests) == 2, DEADLINE)
            lab.call_soon(hold)
            held.wait(DEADLINE)
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.sendall(get(lab.named_url + "/page/1"))
        release.set()
        read_until(second, b"</html>")

        assert (proxy.max_users, len(lab.requests)) == (1, 3)


def test_a_client_that_hangs_up_half_way_is_ended_with_most_of_its_answer_unsent() -> None:
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as plugged:
        plugged.sendall(get(lab.named_url + "/huge"))
        read_until(plugged, b"<p>")

        plugged.shutdown(socket.SHUT_WR)

        lab.wait_for(lambda: lab.requests[0].ended is not None and not lab.proxies[OPEN_HTTP].open, DEADLINE)


def test_a_client_that_leaves_a_long_answer_makes_no_noise(
    tls_lab: Lab, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    with client(tls_lab.proxies[OPEN_HTTP], authority=authority) as web:
        for _ in range(5):
            answer = web.request("GET", tls_lab.named_tls_url + "/huge", preload_content=False)
            answer.read(1_000_000)
            answer.close()
            tls_lab.wait_for(lambda: tls_lab.requests[-1].ended is not None, DEADLINE)

    assert caplog.messages == []


def test_a_client_that_vanishes_while_shaking_hands_is_ended(tls_lab: Lab) -> None:
    proxy = tls_lab.proxies[OPEN_HTTP]
    with plug(proxy.port) as plugged:
        plugged.sendall(b"CONNECT movies.test:%d HTTP/1.1\r\n\r\n" % int(tls_lab.tls_url.rpartition(":")[2]))
        read_until(plugged, b"\r\n\r\n")
        plugged.sendall(b"\x16\x03\x01\x02\x00")

        plugged.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    tls_lab.wait_for(lambda: proxy.open == 0, DEADLINE)


def test_a_client_that_sends_nothing_is_connected_but_not_a_user() -> None:
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port), plug(lab.proxies[OPEN_SOCKS].port):
        lab.wait_for(lambda: all(lab.proxies[index].open == 1 for index in (OPEN_HTTP, OPEN_SOCKS)), DEADLINE)

        assert [proxy.max_users for proxy in lab.proxies] == [0] * 8


def test_the_log_has_the_user_agent() -> None:
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as plugged:
        plugged.sendall(get(lab.named_url + "/page/1?x=1").replace(b"\r\n\r\n", b"\r\nUser-Agent: me\r\n\r\n"))
        read_until(plugged, b"</html>")

        (seen,) = lab.requests
        assert (seen.method, seen.path, seen.agent) == ("GET", "/page/1?x=1", "me")


def test_an_answer_takes_the_latency_a_quarter_more_or_less() -> None:
    with Lab(pages=1, latency=0.02) as lab, client(lab.proxies[HTTP]) as web:
        for _ in range(3):
            status(web, lab.named_url + "/page/1")

        lab.wait_for(lambda: all(seen.ended is not None for seen in lab.requests), DEADLINE)
        delays = [seen.ended - seen.at for seen in lab.requests if seen.ended is not None]
        assert min(delays) > 0.0149
        assert len(set(delays)) == 3


def test_no_answer_waits_for_the_clients_acknowledgement() -> None:
    """Without TCP_NODELAY an answer in two parts takes 45 ms, and every figure measured here lies."""
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port), plug(int(lab.url.rpartition(":")[2])):
        lab.wait_for(lambda: len(lab.client_sockets) == 2, DEADLINE)

        assert all(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in lab.client_sockets)


def test_waiting_for_something_that_does_not_happen_ends_with_an_error() -> None:
    with Lab(pages=1) as lab, pytest.raises(TimeoutError, match="0 requests"):
        lab.wait_for(lambda: False, 0.05)


# --- what is written and printed


def test_the_list_of_proxies_uses_every_notation(tmp_path: Path) -> None:
    with Lab(pages=1) as lab:
        lab.write_proxies(tmp_path / "proxies.txt")
        ports = [proxy.port for proxy in lab.proxies]
    lines = (tmp_path / "proxies.txt").read_text(encoding="utf-8").splitlines()[2:]

    assert lines[0] == f"http://user0:{SECRET}-0%3A%40%2F%23%3F%25%20%2B@127.0.0.1:{ports[0]}"
    assert lines[1].startswith(f"socks5h://user1:{SECRET}-1%3A")
    assert lines[2] == f"127.0.0.1:{ports[2]}:user2:{SECRET}-2"
    assert lines[4] == f"127.0.0.1:{ports[4]}"
    assert lines[6] == f"user6:{SECRET}-6@127.0.0.1:{ports[6]}"
    assert lines[7] == f"socks5h://127.0.0.1:{ports[7]}"


def test_no_password_shows_in_what_is_printed() -> None:
    with Lab(pages=1, faults=["drip"]) as lab:
        shown = f"{lab!r} {lab.proxies!r} {[proxy.label for proxy in lab.proxies]}"

    assert SECRET not in shown


# --- start and stop


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proxies": 1, "faults": ["ban", "drip"]}, "2 faults need 2 proxies, not 1"),
        ({"faults": ["bann"]}, "unknown fault 'bann'.*refused, blackhole"),
        ({"pages": 0}, "at least one page"),
    ],
)
def test_a_lab_with_impossible_settings_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lab(**settings)  # type: ignore[arg-type]  # the wrong settings come from a table


def test_a_taken_port_is_an_error_of_start() -> None:
    with Lab(pages=1) as lab:
        second = Lab(pages=1, site_port=int(lab.url.rpartition(":")[2]))

        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()


def test_stop_ends_waiting_clients_and_may_be_repeated() -> None:
    lab = faulty("blackhole", OPEN_HTTP)
    lab.start()
    with plug(lab.proxies[OPEN_HTTP].port) as waiting, plug(lab.proxies[OPEN_SOCKS].port) as silent:
        waiting.sendall(get(lab.named_url + "/page/1"))
        lab.wait_for(lambda: lab.proxies[OPEN_HTTP].users == 1 and lab.proxies[OPEN_SOCKS].open == 1, DEADLINE)

        lab.stop()
        lab.stop()

        assert (waiting.recv(1), silent.recv(1)) == (b"", b"")
    with pytest.raises(RuntimeError, match="make a new one"):
        lab.start()


def test_a_forked_child_does_not_hold_the_labs_connections_open() -> None:
    """A connection is closed when its last holder closes it: a worker forked later must not be one."""
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as plugged:
        lab.wait_for(lambda: lab.proxies[OPEN_HTTP].open == 1, DEADLINE)
        (hold, release), (started, start) = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tested
            child = os.fork()
        if child == 0:
            os.close(release)
            os.write(start, b".")
            os.read(hold, 1)
            os._exit(0)
        os.read(started, 1)

        lab.set_fault(OPEN_HTTP, "refused")

        try:
            with pytest.raises(ConnectionResetError):
                plugged.recv(1)
            with pytest.raises(ConnectionRefusedError):
                plug(lab.proxies[OPEN_HTTP].port)
        finally:
            for end in (hold, release, started, start):
                os.close(end)
            os.waitpid(child, 0)
