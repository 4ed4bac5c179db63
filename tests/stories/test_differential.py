"""
The same crawl and the same faults through proxies of other authors: proxy.py, pproxy, tinyproxy, microsocks and squid.
The tests record how each of them behaves, right or wrong.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from certificates import Authority
from foreign import FROM_DEBIAN, KINDS, PATIENCE, Certificate, Foreign, is_here, running
from pinpool import Run
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.lab import Lab
from pinpool.model import Fault, Fetched, Task
from pinpool.policy.faults import answer, fault_of
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

pytestmark = pytest.mark.processes

PAGES = 3
EVERY_KIND = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.debian] * (kind in FROM_DEBIAN)) for kind in KINDS]
)
Get = Callable[[str], Foreign]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of the site, and of the proxies that speak TLS themselves."""
    authority = Authority(tmp_path_factory.mktemp("certificate"))
    return Certificate(*authority.files("127.0.0.1"), Path(authority.bundle))


@pytest.fixture
def lab(certificate: Certificate) -> Iterator[Lab]:
    with Lab(pages=PAGES, certificate=(certificate.chain, certificate.key)) as running_lab:
        yield running_lab


@pytest.fixture(scope="module")
def get(certificate: Certificate) -> Iterator[Get]:
    """The proxy of a kind; each is started once."""
    started: dict[str, Foreign] = {}
    with ExitStack() as stack:

        def get_one(kind: str) -> Foreign:
            if kind not in started:
                started[kind] = stack.enter_context(running(kind, certificate))
            return started[kind]

        yield get_one


@pytest.fixture(scope="module")
def closed_port() -> int:
    """Where nobody listens: outside the range from which ports are drawn, so nobody will."""
    for port in range(30_001, 30_100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("a hundred ports, and somebody listens on all of them")


def fetch(proxy: Proxy, url: str, authority: Path | None = None) -> Fetched:
    settings = Settings(ca_bundle=str(authority) if authority else None)
    with closing(Fetcher(proxy, settings)) as fetcher:
        return fetcher.fetch(Task("index", url, b"k" * 16), time.monotonic() + PATIENCE)


def fault(proxy: Proxy, url: str, authority: Path | None = None) -> Fault | None:
    """The fault that a worker would report, or None."""
    try:
        page = fetch(proxy, url, authority)
    except FetchFailed as failed:
        return fault_of(failed.evidence)
    tunnelled = url.startswith("https:") or proxy.scheme.startswith("socks")
    found = answer(page.status, Settings().ban_status, tunnelled=tunnelled)
    return found and fault_of(found)


def crawl(folder: Path, base: str, proxies: list[Proxy], workers: int, authority: Path) -> Run:
    """The command, in the folder; it must end well, and without a warning."""
    (folder / "proxies.txt").write_text("".join(f"{proxy.url}\n" for proxy in proxies))
    (folder / "seeds.txt").write_text("".join(f"{base}/page/{n}\n" for n in range(1, PAGES + 1)))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pinpool", "crawl", "pinpool.examples.movies", "-p", "proxies.txt"),
            *("--seeds", "seeds.txt", "-w", str(workers), "-j", "run.db", "-o", "films.jsonl", "-q"),
            *("-s", f"ca_bundle={authority}"),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr
    return Run(folder / "run.db")


def assert_every_film_is_right(folder: Path, lab: Lab, base: str) -> None:
    items = [json.loads(line) for line in (folder / "films.jsonl").read_text().splitlines()]
    stored = sorted((item["url"], item["title"], tuple(item["directors"])) for item in items)
    assert stored == sorted((url, film.title, tuple(film.directors)) for url, film in lab.films(base).items())


def assert_every_page_was_asked_for_once(lab: Lab) -> None:
    """And not by one of the lab's own proxies."""
    wanted = [f"/page/{n}" for n in range(1, PAGES + 1)] + list(lab.films())
    assert sorted(seen.path for seen in lab.requests) == sorted(wanted)
    assert lab.direct == len(wanted)
    assert [proxy.connections for proxy in lab.proxies] == [0] * len(lab.proxies)


#: The fault of a wrong login where the proxy gives no reason: pproxy's SOCKS hangs up.
SILENT = {"pproxy-socks5": Fault.REFUSED, "pproxy-socks4": Fault.RESET}


@pytest.mark.grid(keep=4)
@EVERY_KIND
def test_a_crawl_gets_every_film_though_the_first_line_of_the_list_has_a_wrong_login(
    kind: str, get: Get, lab: Lab, certificate: Certificate, tmp_path: Path
) -> None:
    foreign = get(kind)

    run = crawl(tmp_path, lab.url, [foreign.stranger, foreign.proxy], 1, certificate.authority)

    assert run.complete
    assert_every_film_is_right(tmp_path, lab, lab.url)
    assert_every_page_was_asked_for_once(lab)
    wrong, right = run.proxies
    assert (right["ok"], right["faults"]) == (33, {})
    assert (wrong["ok"], set(wrong["faults"])) == (0, {SILENT.get(kind, Fault.PROXY_AUTH)})
    if kind not in SILENT:
        assert (wrong["attempts"], wrong["state"]) == (1, "retired")


def test_a_crawl_over_https_through_all_of_them_at_once_is_complete(
    get: Get, lab: Lab, certificate: Certificate, tmp_path: Path
) -> None:
    proxies = [get(kind).proxy for kind in KINDS if is_here(kind)]

    run = crawl(tmp_path, lab.tls_url, proxies, len(proxies), certificate.authority)

    assert run.complete
    assert_every_film_is_right(tmp_path, lab, lab.tls_url)
    assert_every_page_was_asked_for_once(lab)
    assert sum(proxy["ok"] for proxy in run.proxies) == 33


@EVERY_KIND
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_wrong_login_is_the_proxys_refusal(
    kind: str, scheme: str, get: Get, lab: Lab, certificate: Certificate
) -> None:
    url = {"http": lab.url, "https": lab.tls_url}[scheme] + "/page/1"

    found = fault(get(kind).stranger, url, certificate.authority)

    assert found is SILENT.get(kind, Fault.PROXY_AUTH)
    assert lab.requests == []


def test_a_missing_login_is_reported_like_a_wrong_one(get: Get, lab: Lab, certificate: Certificate) -> None:
    found = {}
    for kind in filter(is_here, KINDS):
        proxy = get(kind).proxy
        bare = Proxy(proxy.scheme, proxy.host, proxy.port)
        found[kind] = fault(bare, lab.url + "/page/1", certificate.authority)

    assert found == {kind: SILENT.get(kind, Fault.PROXY_AUTH) for kind in found}
    assert lab.requests == []


#: The faults when the site's port is closed. HTTP proxies answer for the site with 500, 502 or 503, so the site is
#: charged. SOCKS has a reply for it. pproxy first agrees and then hangs up, which leaves the question open.
CLOSED = {
    "proxy.py": (Fault.SERVER_ERROR, Fault.TUNNEL),
    "proxy.py-tls": (Fault.SERVER_ERROR, Fault.TUNNEL),
    "pproxy-http": (Fault.RESET, Fault.RESET),
    "pproxy-socks5": (Fault.RESET, Fault.RESET),
    "pproxy-socks4": (Fault.RESET, Fault.RESET),
    "tinyproxy": (Fault.SERVER_ERROR, Fault.TUNNEL),
    "microsocks": (Fault.TUNNEL, Fault.TUNNEL),
    "squid": (Fault.SERVER_ERROR, Fault.TUNNEL),
}


@EVERY_KIND
def test_a_site_that_refuses_connections_is_reported_as_each_kind_does(
    kind: str, get: Get, certificate: Certificate, closed_port: int
) -> None:
    site = f"://127.0.0.1:{closed_port}/"

    found = tuple(fault(get(kind).proxy, scheme + site, certificate.authority) for scheme in ("http", "https"))

    assert found == CLOSED[kind]


@EVERY_KIND
def test_a_site_whose_name_does_not_resolve_is_reported_like_one_that_refuses(
    kind: str, get: Get, certificate: Certificate
) -> None:
    """No proxy says that it was the name, except some versions of squid."""
    if kind == "pproxy-socks4":
        pytest.skip("it lacks the extension 4a, and takes a name for the address 0.0.0.1")
    site = "://no-such-site.invalid/"

    found = tuple(fault(get(kind).proxy, scheme + site, certificate.authority) for scheme in ("http", "https"))

    assert found == CLOSED[kind] or (kind, found) == ("squid", (Fault.DNS, Fault.DNS))


@pytest.mark.debian
def test_squid_marks_its_own_answers(get: Get, certificate: Certificate, lab: Lab, closed_port: int) -> None:
    """Rule: the mark tells squid's own error pages from those of the site."""
    proxy = get("squid").proxy

    own = fetch(proxy, f"http://127.0.0.1:{closed_port}/")
    sites = fetch(proxy, lab.url + "/no/such/page")

    assert (own.status, own.headers["x-squid-error"]) == (503, "ERR_CONNECT_FAIL 111")
    assert (sites.status, "x-squid-error" in sites.headers) == (404, False)


@pytest.mark.debian
def test_tinyproxy_leaves_the_401_of_a_site_alone(get: Get, lab: Lab) -> None:
    """Its own 401 is about the login in our list. A site's 401 is an answer, and retires no proxy."""
    lab.set_site_fault("/page/1", 401)

    assert fetch(get("tinyproxy").proxy, lab.url + "/page/1").status == 401
    assert fault(get("tinyproxy").stranger, lab.url + "/page/1") is Fault.PROXY_AUTH


@EVERY_KIND
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_site_never_sees_the_login(kind: str, scheme: str, get: Get, lab: Lab, certificate: Certificate) -> None:
    """On plain http the proxy has to remove it."""
    base = {"http": lab.url, "https": lab.tls_url}[scheme]

    headers = json.loads(fetch(get(kind).proxy, f"{base}/echo", certificate.authority).body)["headers"]

    assert headers["host"]
    assert [name for name in headers if "auth" in name.lower()] == []


@EVERY_KIND
def test_https_is_verified_through_the_proxy(kind: str, get: Get, lab: Lab, certificate: Certificate) -> None:
    foreign, url = get(kind), lab.tls_url + "/detail/1"

    known = fetch(foreign.proxy, url, certificate.authority)
    unknown = fault(foreign.proxy, url)

    film = lab.films()["/detail/1"]
    assert (known.status, film.title in known.body.decode()) == (200, True)
    assert unknown is (Fault.PROXY_TLS if foreign.proxy.scheme == "https" else Fault.TLS)
    assert len(lab.requests) == 1
