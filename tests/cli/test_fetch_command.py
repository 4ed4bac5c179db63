"""`pinpool fetch`: a list of files, as a user downloads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from commands import LIST, Desk
from pinpool.lab import Lab

pytestmark = pytest.mark.processes


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(pages=1, proxies=4, file_sizes=(10_000, 60_000)) as running:
        yield running


@pytest.fixture
def urls(desk: Desk, lab: Lab) -> list[str]:
    """The list ``urls.txt`` of eight files, and ``proxies.txt``."""
    lab.write_proxies(desk / "proxies.txt")
    listed = [f"{lab.named_url}/file/{number}.pdf" for number in range(1, 9)]
    desk.write("urls.txt", "# reports\n" + "\n".join(listed) + "\tEighth report\n")
    return listed


def test_eight_reports_lie_in_their_folder_and_verify_proves_it(desk: Desk, lab: Lab, urls: list[str]) -> None:
    said = desk.run("fetch", "urls.txt", *LIST, "-d", "reports", "-o", "reports.jsonl")

    assert said.code == 0, said.err
    assert "complete: 8 pages, 8 items" in said.out
    items = {item["url"]: item for item in desk.lines("reports.jsonl")}
    assert sorted(items) == urls
    for number, url in enumerate(urls, 1):
        content = (desk / "reports" / items[url]["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == items[url]["sha256"] == lab.library.file(number).sha256
    assert items[urls[0]]["path"] == "1.pdf"
    assert items[urls[7]]["path"] == "Eighth report.pdf"
    assert sorted(path.name for path in (desk / "reports").iterdir()) == sorted(i["path"] for i in items.values())
    assert desk.run("verify", "urls.db").code == 0
    assert desk.run("verify", "urls.db", "--hashes").code == 0


def test_verify_misses_a_file_that_was_removed_and_one_that_was_changed(desk: Desk, urls: list[str]) -> None:
    assert desk.run("fetch", "urls.txt", *LIST, "-q").code == 0
    changed = desk / "urls.files" / "2.pdf"
    changed.write_bytes(b"x" * changed.stat().st_size)

    assert desk.run("verify", "urls.db").code == 0
    found = desk.run("verify", "urls.db", "--hashes")
    (desk / "urls.files" / "3.pdf").unlink()
    removed = desk.run("verify", "urls.db")

    assert (found.code, removed.code) == (3, 3)
    assert "1 file missing in" in found.out and "or changed: 2.pdf" in found.out
    assert "or changed: 3.pdf" in removed.out


def test_what_stops_at_a_limit_goes_on_from_another_folder(desk: Desk, lab: Lab, urls: list[str]) -> None:
    assert desk.run("fetch", "urls.txt", *LIST, "-d", "reports", "--limit", "3", "-q").code == 0
    (desk / "elsewhere").mkdir()

    said = desk.start_python(
        "-c",
        "import os; os.chdir('elsewhere'); from pinpool.cli import main; main()",
        "resume",
        "../urls.db",
        "-p",
        "../proxies.txt",
    ).end()

    assert said.code == 0, said.err
    assert len(list((desk / "reports").iterdir())) == 8
    assert list((desk / "elsewhere").iterdir()) == []


def test_a_file_that_is_gone_is_no_failure_and_one_that_is_a_page_is(desk: Desk, lab: Lab, urls: list[str]) -> None:
    odd = [f"{lab.named_url}/file/1.pdf", f"{lab.named_url}/file/none.pdf", f"{lab.named_url}/file/2.pdf?html"]
    desk.write("odd.txt", "\n".join(odd))

    said = desk.run("fetch", "odd.txt", *LIST)
    failures = desk.run("failures", "odd.db", "--json").json()

    assert said.code == 3
    assert [one["url"] for one in failures] == [odd[2]]
    assert "text/html in place of the file, application/pdf by its name" in failures[0]["attempts"][0]["message"]
    assert [path.name for path in (desk / "odd.files").iterdir()] == ["1.pdf"]


@pytest.mark.parametrize("way", ["chunked", "endless", "gzip", "noetag", "norange", "mislabelled", "attachment"])
def test_files_come_however_they_are_sent(desk: Desk, lab: Lab, urls: list[str], way: str) -> None:
    desk.write("one.txt", f"{lab.named_url}/file/5.pdf?{way}")

    said = desk.run("fetch", "one.txt", *LIST, "-o", "-", "-q")

    assert said.code == 0, said.err
    (item,) = said.items()
    assert (item["sha256"], item["type"]) == (lab.library.file(5).sha256, "application/pdf")
    assert item["path"] == ("Bericht ü 5.pdf" if way == "attachment" else "5.pdf")


def test_a_wrong_list_or_folder_is_said_before_anything_is_written(desk: Desk, urls: list[str]) -> None:
    desk.write("bad.txt", "not a URL\nhttp://site.test/x.pdf\nftp://a\n")
    desk.write("taken", "mine")

    bad = desk.run("fetch", "bad.txt", *LIST)
    nowhere = desk.run("fetch", "nowhere.txt", *LIST)
    taken = desk.run("fetch", "urls.txt", *LIST, "-d", "taken")

    assert (bad.code, nowhere.code, taken.code) == (2, 2, 2)
    assert "bad.txt:1: " in bad.err and "bad.txt:3: " in bad.err
    assert "nowhere.txt cannot be read" in nowhere.err
    assert "cannot be a folder" in taken.err and "another with -d" in taken.err
    assert not list(desk.folder.glob("*.db"))


def test_when_all_are_pages_the_list_is_over_and_says_what_to_do(desk: Desk, lab: Lab, urls: list[str]) -> None:
    desk.write("odd.txt", "\n".join(f"{lab.named_url}/file/{n}.pdf?html" for n in range(1, 4)))

    said = desk.run("fetch", "odd.txt", *LIST)

    assert said.code == 3
    assert "stage file yielded nothing" in said.err
    assert "see why: `pinpool failures odd.db`" in said.err
    assert "mend the spider" not in said.err
