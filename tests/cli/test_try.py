"""`pinpool try` against bad sites and bad proxies: it reports what a crawl would, goes on where it should, and ends."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Desk
from peers import Line, Peer, Script, answer, answering, saying, saying_and_waiting, silent

TITLE = answer(b"<h1>Heat</h1>")
FORBIDDEN = answer(b"no", "403 Forbidden")
SPIDER = """\
from pinpool import Spider, request

spider = Spider(seeds=["{url}"], deadline=3, max_body=1000, headers={{"X-Spider": "yes"}})


@spider.index
def films(page):
    yield {{"title": page.first("//h1")}}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.write("films.py", SPIDER.format(url="http://movies.test/1"))
    yield made
    made.clear()


def listed(desk: Desk, *proxies: Peer) -> None:
    desk.write("proxies.txt", "".join(f"{proxy.netloc}\n" for proxy in proxies))


# ---------------------------------------------------------------------------------------------- through proxies


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (answering(FORBIDDEN), "banned"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), "truncated"),
        (saying(b""), "reset"),
        (silent, "deadline"),
    ],
)
def test_a_proxy_that_does_not_work_is_passed_over_for_the_next(desk: Desk, bad: Script, fault: str) -> None:
    with Peer(bad) as first, Peer(answering(TITLE)) as second:
        listed(desk, first, second)

        code, out, err = desk.run("try", "films.py", "-p", "proxies.txt")

        assert code == 0
        assert err.startswith(f"http://{first.netloc}: {fault}: ")
        assert f"through http://{second.netloc}\n200 " in out
        assert '"title": "Heat"' in out


def test_a_fault_of_the_page_is_not_tried_elsewhere(desk: Desk) -> None:
    with Peer(answering(answer(b"x" * 2000))) as first, Peer(answering(TITLE)) as second:
        listed(desk, first, second)

        code, _, err = desk.run("try", "films.py", "-p", "proxies.txt")

        assert (code, second.connections) == (3, 0)
        assert err.endswith("too_large: the body is larger than 1,000 bytes\n")


def test_a_new_pin_is_warmed_and_a_proxy_where_that_fails_is_passed_over(desk: Desk) -> None:
    def site(request: str) -> bytes:
        return answer(b"", Set_Cookie="k=1") if "/login" in request else TITLE

    warm = '\n\n@spider.on_pin\ndef warm(session):\n    session.get("http://movies.test/login").raise_for_status()\n'
    desk.write("films.py", SPIDER.format(url="http://movies.test/1") + warm)
    with Peer(answering(FORBIDDEN)) as first, Peer(answering(site)) as second:
        listed(desk, first, second)

        code, _, err = desk.run("try", "films.py", "-p", "proxies.txt")

        assert code == 0
        assert f"{first.netloc}: banned: on_pin: HTTPError: 403" in err
        assert "Cookie: k=1" in second.heads[1]


@pytest.mark.parametrize("direct", [True, False])
def test_an_extractor_without_end_is_ended_at_the_deadline(desk: Desk, direct: bool) -> None:
    with Peer(answering(TITLE)) as peer:
        desk.write("films.py", SPIDER.format(url=f"http://{peer.netloc}/1") + "    while True:\n        pass\n")
        listed(desk, peer)

        code, _, err = desk.run("try", "films.py", *(["--direct"] if direct else ["-p", "proxies.txt"]))

        assert code == 3
        assert "extract: took longer than 3 s\n  films.py:" in err
        assert "in films\n" in err


def test_a_seed_keeps_its_form_and_headers_at_another_stage(desk: Desk) -> None:
    asks = 'request("http://movies.test/find", form={"q": "heat"}, headers={"X-Own": "1"}, data={"n": 7})'
    text = SPIDER.format(url="").replace('[""]', f"[{asks}]")
    desk.write("films.py", text + '\n\n@spider.detail\ndef film(page):\n    return {"n": page.data["n"]}\n')
    with Peer(answering(TITLE)) as proxy:
        listed(desk, proxy)

        code, out, _ = desk.run("try", "films.py", "--stage", "detail", "-p", "proxies.txt")

        (head,) = proxy.heads
        assert code == 0
        assert '"n": 7' in out
        assert head.startswith("POST ")
        assert head.endswith("q=heat")
        assert "X-Own: 1" in head


def test_without_any_proxy_the_error_names_both_ways(desk: Desk) -> None:
    code, _, err = desk.run("try", "films.py")

    assert code == 2
    assert "-p FILE" in err
    assert "--direct" in err


# ---------------------------------------------------------------------------------------------- directly


def drip(line: Line) -> None:
    line.head()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    line.drip(b"x", 0.2)


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (answering(answer(b"no gzip", Content_Encoding="gzip")), "truncated: cannot be decompressed"),
        (
            saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"),
            "truncated: ended before its announced",
        ),
        (
            saying_and_waiting(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"),
            "deadline: took longer than 3 s",
        ),
        (silent, "deadline: took longer than 3 s"),
        (drip, "deadline: took longer than 3 s"),
        (
            answering(answer(gzip.compress(b"x" * 2000), Content_Encoding="gzip")),
            "too_large: the body is larger",
        ),
        (answering(answer(b"", "404 Not Found")), "gone: "),
        (answering(answer(b"", "410 Gone")), "gone: "),
        (answering(answer(b"", "407 Odd")), "http_error: answered with status 407"),
        (answering(answer(b"", "302 Found", Location="/1")), "redirects: too many redirects"),
    ],
)
def test_a_bad_answer_without_a_proxy_is_reported_in_plain_words(desk: Desk, bad: Script, said: str) -> None:
    with Peer(bad) as site:
        code, out, err = desk.run("try", "films.py", f"http://{site.netloc}/1", "--direct")

        assert (code, err.count("\n")) == (3, 1)
        assert err.startswith(said)
        assert "title" not in out


def test_a_direct_request_has_the_headers_of_a_crawl(desk: Desk) -> None:
    with Peer(answering(TITLE)) as site:
        code = desk.run("try", "films.py", f"http://{site.netloc}/1", "--direct").code

        (head,) = site.heads
        assert code == 0
        assert "User-Agent: Mozilla/5.0 (compatible; pinpool)\r\n" in head
        assert "Accept-Encoding: gzip, deflate\r\n" in head
        assert "X-Spider: yes\r\n" in head


def test_on_pin_comes_first_without_a_proxy_too(desk: Desk) -> None:
    with Peer(answering(answer(b"<h1>Heat</h1>", Set_Cookie="k=1"))) as site:
        warm = f'\n\n@spider.on_pin\ndef warm(session):\n    session.get("http://{site.netloc}/login")\n'
        desk.write("films.py", SPIDER.format(url=f"http://{site.netloc}/1") + warm)

        code = desk.run("try", "films.py", "--direct").code

        assert code == 0
        assert "Cookie: k=1" in site.heads[1]


def test_characters_that_could_drive_the_terminal_are_escaped(desk: Desk) -> None:
    title = "Amélie \x7f\u202e\u2066"
    with Peer(answering(answer(f"<meta charset=utf-8><h1>{title}</h1>".encode()))) as site:
        out = desk.run("try", "films.py", f"http://{site.netloc}/1", "--direct").out

    item = out[out.index("{") : out.index("}") + 1]
    assert json.loads(item) == {"title": title}
    assert "Amélie \\u007f\\u202e\\u2066" in item


def test_links_that_lead_nowhere_are_shown(desk: Desk) -> None:
    desk.write(
        "films.py",
        "from pinpool import Spider\n\nspider = Spider(seeds=[])\nspider.index(lambda page: page.more('//a'))\n",
    )
    body = b'<a href="mailto:a@b.example">x</a><a href="/detail/1">y</a>'

    with Peer(answering(answer(body))) as site:
        code, out, err = desk.run("try", "films.py", f"http://{site.netloc}/page/1", "--direct")

    assert (code, out.splitlines()[-1]) == (0, "0 items, 1 task, 1 link left out")
    assert err == "left out: 'mailto:a@b.example' cannot be requested: it must start with http:// or https://\n"
