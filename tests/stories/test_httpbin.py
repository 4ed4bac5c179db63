"""httpbin: a site that nobody here wrote, with redirects, cookies, codings, streams and refusals of all kinds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpbin  # type: ignore[import-untyped]
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

import pinpool
from certificates import Authority
from foreign import Certificate, running
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Fault, Fetched
from pinpool.policy.faults import answer, fault_of
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.page import Page
from pinpool.tasks import request

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, httpbin.app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join(30)


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that nobody here wrote, either."""
    authority = Authority(tmp_path_factory.mktemp("certificate"))
    certificate = Certificate(*authority.files("127.0.0.1"), Path(authority.bundle))
    with running("proxy.py", certificate) as foreign:
        yield foreign.proxy


@pytest.fixture
def fetcher(proxy: Proxy) -> Iterator[Fetcher]:
    with closing(Fetcher(proxy, Settings(timeout=10))) as made:
        yield made


def page(fetched: Fetched) -> Page:
    return Page(request(fetched.url), fetched, Settings())


@pytest.mark.parametrize(
    "path",
    ["redirect/5", "absolute-redirect/3", "relative-redirect/4", "redirect-to?url=/get&status_code=307"],
)
def test_redirects_lead_to_the_page(fetcher: Fetcher, site: str, path: str) -> None:
    fetched = fetcher.fetch(request(f"{site}/{path}"), time.monotonic() + 30)

    assert (fetched.status, fetched.url) == (200, f"{site}/get")
    assert page(fetched).json()["url"] == f"{site}/get"


def test_cookies_are_kept_and_deleted(fetcher: Fetcher, site: str) -> None:
    def cookies(path: str) -> object:
        return page(fetcher.fetch(request(f"{site}/{path}"), time.monotonic() + 30)).json()["cookies"]

    assert cookies("cookies/set?a=1&b=2") == {"a": "1", "b": "2"}
    assert cookies("cookies/delete?a") == {"b": "2"}
    assert cookies("cookies") == {"b": "2"}


@pytest.mark.parametrize(("path", "key"), [("gzip", "gzipped"), ("deflate", "deflated")])
def test_codings_are_undone(fetcher: Fetcher, site: str, path: str, key: str) -> None:
    assert page(fetcher.fetch(request(f"{site}/{path}"), time.monotonic() + 30)).json()[key] is True


def test_bodies_are_whole_however_they_come(fetcher: Fetcher, site: str) -> None:
    def body(path: str) -> bytes:
        return fetcher.fetch(request(f"{site}/{path}"), time.monotonic() + 30).body

    assert len(body("stream/20").splitlines()) == 20
    assert len(body("bytes/100000")) == 100_000
    assert body("stream-bytes/50000?seed=1") == body("bytes/50000?seed=1")
    assert body("drip?duration=0.2&numbytes=7&delay=0") == b"*" * 7
    assert len(body("range/2048")) == 2048
    assert body("image/png").startswith(b"\x89PNG")


def test_text_is_read_as_a_browser_reads_it(fetcher: Fetcher, site: str) -> None:
    def first(path: str, selector: str) -> str | None:
        return page(fetcher.fetch(request(f"{site}/{path}"), time.monotonic() + 30)).first(selector)

    assert first("encoding/utf8", "h1") == "Unicode Demo"
    assert first("html", "h1") == "Herman Melville - Moby-Dick"
    assert first("xml", "//slide/title") == "Wake up to WonderWidgets!"


def test_forms_headers_and_logins_arrive(fetcher: Fetcher, site: str) -> None:
    def got(path: str, **more: object) -> dict[str, object]:
        fetched = fetcher.fetch(request(f"{site}/{path}", **more), time.monotonic() + 30)  # type: ignore[arg-type]
        return dict(page(fetched).json())

    login = {"Authorization": "Basic YW5uYTpzM2NyZXQ="}
    assert got("post", form={"q": "jäger", "n": "2"})["form"] == {"q": "jäger", "n": "2"}
    assert got("post", json={"a": [1, None]})["json"] == {"a": [1, None]}
    assert got("put", method="PUT", body="text")["data"] == "text"
    assert got("basic-auth/anna/s3cret", headers=login) == {"authenticated": True, "user": "anna"}


@pytest.mark.parametrize(
    ("status", "fault"),
    [(403, Fault.BANNED), (418, Fault.HTTP_ERROR), (429, Fault.BANNED), (500, Fault.SERVER_ERROR)],
)
def test_refusals_have_their_names(fetcher: Fetcher, site: str, status: int, fault: Fault) -> None:
    fetched = fetcher.fetch(request(f"{site}/status/{status}"), time.monotonic() + 30)

    evidence = answer(fetched.status, Settings().ban_status, tunnelled=False)
    assert evidence is not None
    assert fault_of(evidence) is fault


def test_an_answer_that_comes_too_late_is_a_timeout(proxy: Proxy, site: str) -> None:
    with closing(Fetcher(proxy, Settings(timeout=0.5))) as fetcher, pytest.raises(FetchFailed) as failed:
        fetcher.fetch(request(f"{site}/delay/5"), time.monotonic() + 30)

    assert fault_of(failed.value.evidence) is Fault.TIMEOUT


def test_a_crawl_follows_every_link_once(proxy: Proxy, site: str, tmp_path: Path) -> None:
    spider = tmp_path / "links.py"
    spider.write_text(
        "from pinpool import Spider\n\n"
        f"spider = Spider(seeds=['{site}/links/30/0'])\n\n\n"
        "@spider.index\ndef links(page):\n"
        "    yield {'url': page.url, 'links': len(page.all('a'))}\n"
        "    yield from page.more('a')\n"
    )

    run = pinpool.crawl(load(parse_ref(str(spider))), [proxy.url], journal=tmp_path / "run.db")

    assert run.complete
    assert sorted(item["url"] for item in run.items()) == sorted(f"{site}/links/30/{n}" for n in range(30))
    assert {item["links"] for item in run.items()} == {29}
