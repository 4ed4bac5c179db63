"""`pinpool check` as a user meets it: what it prints where, how it ends, and what it leaves on the desk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from commands import DEADLINE, Desk
from peers import PATIENCE, Line, Peer, answer, answering
from pinpool.check.alive_list import MARK
from pinpool.check.result import Finding
from pinpool.cli.app import app
from pinpool.lab import SECRET, Lab
from pinpool.model import Task
from pinpool.proxies.parse import parse
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

DRIVING = "\x1b]0;owned\x07\x1b[2J<script>alert(1)</script>"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Proxies of which two fail at once: 2 refuses, 5 takes no login."""
    with Lab(pages=1) as running:
        running.set_fault(2, "refused")
        running.set_fault(5, "auth")
        yield running


def echo(lab: Lab) -> tuple[str, str]:
    return "--url", f"{lab.named_url}/echo"


def test_a_table_shows_what_works_and_alive_writes_a_list_for_the_crawl(desk: Desk, lab: Lab) -> None:
    desk.prepare(lab)

    code, out, err = desk.run("check", "proxies.txt", *echo(lab), "--alive", "good.txt")
    crawled = desk.run("crawl", "films.py", "-p", "good.txt", "--json")

    first, second, third, *_, last = out.splitlines()
    assert (code, err) == (3, f"checking 8 proxies with {lab.named_url}/echo\n")
    assert first.split() == ["proxy", "result", "seconds", "exit", "why"]
    assert second.split()[:2] == [lab.proxies[2].label, "refused"]
    assert third.split()[:2] == [lab.proxies[5].label, "proxy_auth"]
    assert all(lab.proxies[index].exit_address in out for index in (0, 1, 3, 4, 6, 7))
    assert last == "6 of 8 work; refused 1, proxy_auth 1"
    assert SECRET not in out + err
    assert (desk / "good.txt").stat().st_mode & 0o777 == 0o600
    assert crawled.code == 0
    assert len(crawled.json()["proxies"]) == 6


def test_the_list_of_working_proxies_holds_the_entries_unchanged(desk: Desk, lab: Lab) -> None:
    lab.write_proxies(desk / "proxies.txt")
    entries = parse((desk / "proxies.txt").read_text(), "proxies.txt").entries

    desk.run("check", "proxies.txt", *echo(lab), "--alive", "good.txt")

    lines = (desk / "good.txt").read_text().splitlines()[1:]
    assert lines == [entries[index] for index in (0, 1, 3, 4, 6, 7)]


def test_json_is_one_document_in_the_order_of_the_list(desk: Desk, lab: Lab) -> None:
    lab.write_proxies(desk / "proxies.txt")

    said = desk.run("check", "-", *echo(lab), "--json", "-q", stdin=(desk / "proxies.txt").read_text())

    document = said.json()
    assert (said.code, said.err) == (3, "")
    assert (document["working"], document["failed"], document["unchecked"]) == (6, 2, 0)
    assert [one["proxy"] for one in document["proxies"]] == [proxy.label for proxy in lab.proxies]
    assert SECRET not in said.out


@pytest.mark.parametrize(("indexes", "code"), [((0, 1), 0), ((0, 2), 3), ((2, 5), 4)])
def test_the_code_says_whether_all_some_or_none_work(desk: Desk, lab: Lab, indexes: tuple[int, ...], code: int) -> None:
    value = "\n".join(lab.proxies[index].url for index in indexes)

    said = desk.run("check", *echo(lab), "--alive", "good.txt", PINPOOL_PROXIES=value)

    assert said.code == code
    assert (desk / "good.txt").exists() == (code != 4)
    assert ("good.txt is not written" in said.err) == (code == 4)


@pytest.mark.parametrize("body", [DRIVING.encode(), DRIVING.encode() + b"x" * 5_000_000])
def test_nothing_of_an_answer_is_shown_but_an_address(desk: Desk, body: bytes) -> None:
    reply = answer(body, f"503 {DRIVING}", X_Exit=DRIVING)
    with Peer(answering(answer(body))) as polite, Peer(answering(reply)) as rude:
        desk.write("proxies.txt", f"{polite.netloc}\n{rude.netloc}\n")

        _, out, err = desk.run("check", "proxies.txt", "--url", "http://site.test/")

    assert "\x1b" not in out + err
    assert "script" not in out + err


def test_ctrl_c_shows_the_results_so_far_and_writes_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(proxies: tuple[Proxy, ...], task: Task, settings: Settings, workers: int) -> Iterator[Finding | None]:
        yield None
        yield Finding(proxies[1], None, "", 0.1, 200)
        raise KeyboardInterrupt

    monkeypatch.setattr("pinpool.check.probe.check", pressed)
    alive = tmp_path / "good.txt"

    said = CliRunner().invoke(app, ["check", "-", "--alive", str(alive)], input="a.test:1\nb.test:2\n")

    assert said.exit_code == 130
    assert "http://b.test:2  works" in said.stdout
    assert "1 of 1 work; 1 not checked" in said.stdout
    assert said.stderr.endswith("is not written\n")
    assert not alive.exists()


def test_ctrl_c_ends_it_at_once_though_a_proxy_is_silent(desk: Desk) -> None:
    asked, left = threading.Event(), threading.Event()

    def never_answering(line: Line) -> None:
        line.head()
        asked.set()
        line.wait()
        left.set()  # and not because our patience was at its end

    with Peer(never_answering) as silent:
        desk.write("proxies.txt", silent.netloc)
        program = desk.start("check", "proxies.txt", "--url", "http://site.test/", "--timeout", "3000", "--json")
        assert asked.wait(DEADLINE)

        program.press_ctrl_c()
        said = program.end()
        assert left.wait(PATIENCE)

    assert (said.code, said.err.count("\n")) == (130, 1)
    assert (said.json()["proxies"], said.json()["unchecked"]) == ([], 1)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no proxies given"),
        (["missing.txt"], "missing.txt: cannot read this list of proxies"),
        (["http://anna:planted@10.0.0.1:80"], "would show in `ps`"),
        (["bad.txt"], "bad.txt:1: "),
        (["list.txt", "-p", "list.txt"], "name the list once"),
        (["list.txt", "--timeout", "nan"], "'nan' is not a number"),
        (["list.txt", "--timeout", "0"], "'0' is not above 0 and at most 3600"),
        (["list.txt", "--workers", "0"], "1<=x<=1000"),
        (["list.txt", "--url", "ftp://site.test/"], "it must start with http:// or https://"),
        (["list.txt", "--url", "http://anna:planted@site.test/"], "it contains a user name or password"),
        (["list.txt", "--alive", "list.txt"], "is the list of proxies itself"),
        (["list.txt", "--alive", "bad.txt"], "holds something else"),
        (["list.txt", "--alive", "anna:planted@10.0.0.1:80/x"], "its folder does not exist"),
    ],
)
def test_wrong_input_ends_with_2_before_anything_is_asked(desk: Desk, words: list[str], problem: str) -> None:
    with Peer(answering()) as peer:
        desk.write("list.txt", f"anna:planted@{peer.netloc}")
        desk.write("bad.txt", "anna:planted@:x")

        code, out, err = desk.run("check", *words)

        assert (code, out, peer.connections) == (2, "", 0)
    assert problem in err
    assert "planted" not in err


def test_the_list_that_the_variable_names_is_not_overwritten(desk: Desk) -> None:
    listed = desk.write("list.txt", MARK + "10.0.0.1:8080\n")

    said = desk.run("check", "--alive", "list.txt", PINPOOL_PROXIES=str(listed))

    assert (said.code, said.out) == (2, "")
    assert "is the list of proxies itself" in said.err


def test_without_a_url_the_public_service_is_named(desk: Desk) -> None:
    with Peer(answering(answer(b"no", "502 Bad Gateway"))) as proxy:
        desk.write("proxies.txt", proxy.netloc)

        code, out, err = desk.run("check", "-p", "proxies.txt")

        assert proxy.heads[0].startswith("CONNECT api.ipify.org:443 ")
    assert code == 4
    assert err == ("checking 1 proxy with https://api.ipify.org/ (a public service; --url names another)\n")
    assert "none works" in out


def test_help_names_the_service_that_is_asked() -> None:
    from pinpool.check.probe import ECHO

    assert ECHO in app.commands["check"].get_help(click.Context(app.commands["check"]))
