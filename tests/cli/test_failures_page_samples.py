"""The page samples of a run, in `pinpool failures` and `pinpool try --page`."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from commands import DEADLINE, Desk
from journals import new_journal, task
from pinpool.journal.page_samples import sample_of
from pinpool.journal.records import Settlement
from pinpool.lab import Lab
from pinpool.model import Ending, Evidence, Fault, Fetched, Outcome, Sign, Step, TaskState

BROKEN = """\
from pinpool import Spider

spider = Spider(seeds=["{url}/page/1"])


@spider.index
def films(page):
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page):
    return {{"url": page.url, "title": page.{title}}}
"""


@pytest.mark.processes
def test_a_selector_is_mended_on_the_page_that_the_run_has_stored(desk: Desk) -> None:
    with Lab(pages=1, proxies=3) as lab:
        desk.prepare(lab)
        desk.write("broken.py", BROKEN.format(url=lab.named_url, title='first("//h7").strip()'))
        crawled = desk.run("crawl", "broken.py", "-p", "proxies.txt", "-q", "--max-failures", "10")

    # The site is gone now: all that follows lives on the page sample.
    listed = desk.run("failures", "broken.db")
    shown = desk.run("failures", "broken.db", "--json").json()
    pages = desk.run("failures", "broken.db", "--pages", "--json").json()
    page = subprocess.run(
        [sys.executable, "-m", "pinpool", "failures", "broken.db", "--page", str(shown[0]["page"])],
        cwd=desk.folder,
        env=desk.environment,
        capture_output=True,
        timeout=DEADLINE,
        check=True,
    )
    still = desk.run("try", "broken.py", "--page", f"broken.db:{shown[0]['page']}")
    desk.write("broken.py", BROKEN.format(url="http://x.test", title='first("//h2")'))
    mended = desk.run("try", "broken.py", "--page", f"broken.db:{shown[0]['page']}")

    assert crawled.code == 0
    assert len(shown) == 10
    assert {failure["page"] for failure in shown} == {1}
    assert "[page 1]" in listed.out
    assert "`pinpool try SPIDER --page broken.db:1`" in listed.out
    assert [(one["stage"], one["kind"]) for one in pages] == [
        ("detail", "detail extract: AttributeError (broken.py:13)")
    ]
    assert b"<h2" in page.stdout  # in whatever encoding the site has
    assert f"status 200, {len(page.stdout):,} bytes" in page.stderr.decode()
    assert (still.code, "extract: AttributeError" in still.err) == (3, True)
    assert (mended.code, mended.err) == (0, "")
    assert "stage detail: as the journal says\n" in mended.out
    assert json.loads(mended.out[mended.out.index("{") : mended.out.rindex("}") + 1])["title"]


def test_a_page_that_is_not_there_is_refused_with_the_way_to_those_that_are(desk: Desk) -> None:
    new_journal(desk / "films.db", task("1", "index")).close()
    desk.write("films.py", BROKEN.format(url="http://x.test", title="url"))

    none = desk.run("failures", "films.db", "--pages")
    missing = desk.run("failures", "films.db", "--page", "7")
    huge = desk.run("failures", "films.db", "--page", "9" * 20)
    tried = desk.run("try", "films.py", "--page", "films.db:7")
    unclear = desk.run("try", "films.py", "--page", "films.db")
    both = desk.run("try", "films.py", "--page", "films.db:1", "--direct")

    assert (none.code, none.out) == (0, "no page was kept\n")
    assert (missing.code, missing.err) == (tried.code, tried.err)
    assert (missing.code, huge.code) == (2, 2)
    assert f"there is no page sample {'9' * 20}: " in huge.err
    assert "there is no page sample 7: `pinpool failures films.db --pages` lists" in missing.err
    assert (unclear.code, "is not RUN.db:ID" in unclear.err) == (2, True)
    assert (both.code, "--page fetches nothing" in both.err) == (2, True)


def test_what_a_page_says_cannot_drive_the_terminal(desk: Desk) -> None:
    hostile = "banned \x1b[2J"
    with new_journal(desk / "films.db", task("1")) as journal:
        page = Fetched("http://films.example/\x1b]0;x\x07", 200, {}, b"<h1>Heat</h1>", 0.1, 13)
        evidence = Evidence(Step.EXTRACT, Sign.RAISED, "ValueError", 200)
        outcome = Outcome(1, 7, 1, Ending.FAILED, time.time(), 0.1, 200, 13, evidence)
        outcome = outcome._replace(sample=sample_of(hostile, page))
        journal.settle(Settlement(1, outcome, Fault.EXTRACT, False, TaskState.FAILED, "extract"), time.time())

    said = desk.run("failures", "films.db", "--pages")

    assert "banned [2J" in said.out
    assert "\x1b" not in said.out
