"""`pinpool report` as a user starts it."""

from __future__ import annotations

import pytest

from commands import Desk
from journals import new_journal, task, whole_run
from pinpool.lab import Lab
from pinpool.report.html import MARK


def test_the_report_is_written_beside_the_caller_and_says_where_and_how_large(desk: Desk) -> None:
    whole_run(desk / "movies.db")

    said = desk.run("report", "movies.db")
    again = desk.run("report", "movies.db", "--price", "2.50")

    page = (desk / "report.html").read_text(encoding="utf-8")
    assert (said.code, said.err) == (again.code, again.err) == (0, "")
    assert again.out == f"report.html: {len(page.encode()) / 1000:.0f} kB; open it in a browser\n"
    assert "What it cost" in page
    assert "http://alice@192.0.2.1:8080" in page


def test_on_stdout_there_is_the_page_and_nothing_else(desk: Desk) -> None:
    whole_run(desk / "movies.db")

    said = desk.run("report", "movies.db", "-o", "-", PYTHONIOENCODING="latin-1")

    assert (said.code, said.err) == (0, "")
    assert said.out.lstrip().startswith("<!doctype html>")
    assert said.out.rstrip().endswith("</html>")
    assert not (desk / "report.html").exists()


def test_a_journal_that_is_being_written_can_be_reported(desk: Desk) -> None:
    with new_journal(desk / "movies.db", task("a")):
        said = desk.run("report", "movies.db")

    assert said.code == 0
    assert ">running<" in (desk / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["movies.db", "-o", "movies.db"], "output movies.db: is the journal"),
        (["movies.db", "-o", "mine.txt"], "output mine.txt: holds something else"),
        (["movies.db", "--price", "free"], "a price is 2.50"),
        (["nothing.db"], "nothing.db"),
        (["mine.txt"], "mine.txt: is not a SQLite file"),
        (["movies.db", "-o", "http://alice:secret@192.0.2.1:8080"], "its folder does not exist"),
    ],
)
def test_wrong_input_is_reported_and_nothing_is_written(desk: Desk, arguments: list[str], why: str) -> None:
    whole_run(desk / "movies.db")
    desk.write("mine.txt", "my own words, longer than any header of a SQLite file would be" * 30)
    before = {path.name: path.read_bytes() for path in desk.folder.iterdir()}

    said = desk.run("report", *arguments)

    assert said.code == 2
    assert why in said.err
    assert "secret" not in said.err
    assert {path.name: path.read_bytes() for path in desk.folder.iterdir()} == before


def test_a_real_run_with_faulty_proxies_is_reported_without_a_password(desk: Desk) -> None:
    # With a worker for each proxy and answers that take their time, no proxy goes without a turn.
    with Lab(pages=3, proxies=6, faults=["refused", "auth", "ban"], latency=0.05) as lab:
        desk.prepare(lab)
        crawled = desk.run("crawl", "films.py", "-p", "proxies.txt", "-w", 6, "-q", "-s", "cooling=0.5")

    said = desk.run("report", "films.db", "--price", "3/GB")

    page = (desk / "report.html").read_text(encoding="utf-8")
    assert (crawled.code, said.code) == (0, 0)
    assert MARK in page
    assert "1 proxy refused the login" in page
    for proxy in lab.proxies:
        assert proxy.label in page
        assert proxy.password not in page or not proxy.password
