"""The page: that it says what is so, that nothing in it can run, and where it may be written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from journals import whole_run
from pinpool.errors import SettingsError, StorageError
from pinpool.journal.records import ProxyRow
from pinpool.journal.yields import RunYield, StageYield
from pinpool.report import html as report
from pinpool.report.cost import Price
from pinpool.report.harvest import StoredItem
from pinpool.report.html import address, check_page, money, render, write_page
from pinpool.report.run_data import SlowPage, StageTasks
from pinpool.stats.fields import StageFields
from run_data import START, bad, given_up, good, run_data

#: What sites, lists and hands could put into a journal.
HOSTILE = [
    "<script>document.title='owned'</script>",
    "</style><script>alert(1)</script>",
    "</title></script><img src=x onerror=alert(1)>",
    '" onload="alert(1)" x=\'',
    "\u202egnp.exe\u2066\u200b\x00\x1b]0;owned\x07\ud800",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 1_000_000,
]


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":  # where the line of an address may break: it depends on the text
            self.found.append((tag, dict(attrs)))


def poisoned(text: str) -> Any:
    """An account in which whatever a stranger has a hand in says `text`."""
    rows = [good(1, 1), bad(1, 2, "banned")._replace(message=text), bad(1, 3, text)]
    url = f"http://films.example/{text}"
    lost = given_up(1, url, text, text, stage=text, reason=text)
    return run_data(
        rows,
        proxies=1,
        state="interrupted",
        journal=f"{text}.db",
        run={"spider": text, "spider_ref": text, "engine": text},
        tasks={"failed": 1, "waiting": 2},
        given_up=[lost],
        faults_of_failed={text: 1},
        complete=False,
        damage=[text[:1000]],
        advice=text[:1000],
        slowest=[SlowPage(0.2, 1000, text, url, text)],
    )


def poison_labels(told: Any, text: str) -> Any:
    told.proxies[0] = ProxyRow(1, text, "retired", text, None, 0, True)
    return told


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_that_a_stranger_wrote_becomes_an_element_or_an_attribute(text: str) -> None:
    plain = Elements(render(poison_labels(poisoned("plain"), "plain"), START, Price(2.5))).found

    page = render(poison_labels(poisoned(text), text), START, Price(2.5))

    names = [(tag, sorted(attributes)) for tag, attributes in Elements(page).found]
    assert names == [(tag, sorted(attributes)) for tag, attributes in plain]
    assert not {"onload", "onerror", "style", "href", "src"} & {name for _, both in names for name in both}
    assert len(page) < 60_000
    assert all(letter.isprintable() or letter == "\n" for letter in page)
    page.encode()


def test_an_overtaken_attempt_is_neither_good_nor_bad() -> None:
    overtaken = good(2, 2)._replace(ending="overtaken", status=None)
    slow = overtaken._replace(fault="slow", charged=True)

    page = render(run_data([good(1, 1), bad(1, 2, "reset"), overtaken, slow], proxies=2), START)

    assert "50%<small>1 of 2</small>" in page


def test_totals_say_of_how_many() -> None:
    told = run_data(
        [good(1, 1), bad(2, 2, "refused")],
        proxies=3,
        states={2: "retired"},
        tasks={"done": 1234, "gone": 2, "failed": 1, "waiting": 3},
        run={"pages": 1236, "items": 617, "seconds": 10},
    )

    page = " ".join(re.sub("<[^>]*>", " ", render(told, START)).split())

    assert "pages 1,236 of 1,240 123.6 a second, 2 gone" in page
    assert "items 617 61.7 a second" in page
    assert "good attempts 50% 1 of 2" in page
    assert "given up 1 3 still open" in page
    assert "usable proxies 2 of 3 0 cooling, 1 retired" in page


def test_each_stage_has_a_row() -> None:
    stages = [
        StageTasks("index", 12, 10, 1, 1, 0, 15, 0, 100, None),
        StageTasks("<detail>", 100, 60, 0, 0, 40, 61, 60, 0, "http://films.example/1"),
    ]

    page = render(run_data([good(1, 1)], stages=stages), START)

    cells = [re.findall("<t[hd][^>]*>([^<]*)", row) for row in re.findall("<tr>(.*)</tr>", page) if "of 1" in row]
    assert cells == [
        ["index", "11 of 12", "1", "1", "0", "0", "100", "15"],
        ["&lt;detail&gt;", "60 of 100", "0", "0", "40", "60", "0", "61"],
    ]


def test_ten_items_of_each_stage_are_shown_escaped_cut_and_without_a_login() -> None:
    hostile = {
        "url": "http://alice:secret@films.example/1",
        "<b>": "<script>",
        "long": "x" * 1_000_000,
        "cast": ["A", "B"],
    }
    items = [StoredItem("detail", json.dumps({**hostile, "n": n, "more": {"a": None}}), START + n) for n in range(500)]

    page = render(run_data([good(1, 1)], items=items), START)

    samples = page.partition('aria-labelledby="samples">')[2].partition("</section>")[0]
    assert "10 of 500 items of stage detail" in samples
    assert samples.count("<tr>") == 11
    assert "&lt;b&gt;" in samples
    assert "&lt;script&gt;" in samples
    assert '<td class="text value">A, B</td>' in samples
    assert "{&#34;a&#34;: null}" in samples
    assert f">{'x' * 119}…<" in samples
    assert "secret" not in page
    assert len(page) < 80_000


def test_an_item_of_many_fields_shows_the_first_ones_and_says_so() -> None:
    items = [StoredItem("detail", json.dumps({f"f{n}": n for n in range(2000)}), START)]

    page = render(run_data([good(1, 1)], items=items), START)

    assert "1,992 more fields are not shown." in page
    assert len(page) < 60_000


def test_a_line_of_an_address_may_break_behind_its_marks_and_nowhere_else() -> None:
    assert address("socks5h://a@10.0.0.7:1080") == "socks5h://<wbr>a@<wbr>10.0.0.7:<wbr>1080"
    assert address("http://proxy7.films.example") == "http://<wbr>proxy7.<wbr>films.<wbr>example"
    assert address("<b>\u202e/x") == "&lt;b&gt; /<wbr>x"


def test_the_policy_names_the_one_style_and_the_one_script_that_are_there() -> None:
    page = render(run_data([good(1, 1)]), START)

    digests = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0] for tag in ("style", "script"))
    ]
    policy = next(both["content"] for tag, both in Elements(page).found if "http-equiv" in both)
    assert policy == (
        f"default-src 'none'; style-src '{digests[0]}'; script-src '{digests[1]}'; base-uri 'none'; form-action 'none'"
    )
    assert page.count("<script") == page.count("<style") == 1


def test_no_login_of_a_site_is_shown() -> None:
    url = "http://alice:secret@films.example/"
    lost = given_up(1, url, "extract", "no title")
    late = SlowPage(0.2, 1000, "detail", url, None)
    told = run_data([good(1, 1)], tasks={"failed": 1}, given_up=[lost], slowest=[late])

    page = render(told, START)

    assert "secret" not in page
    assert page.replace("<wbr>", "").count("http://…@films.example/") >= 2


def test_each_state_of_a_run_is_told() -> None:
    running = render(run_data([good(1, 1)], state="running", complete=False, run={"ended": None}), START + 9)
    starved = render(run_data([good(1, 1)], state="starved", complete=False, tasks={"waiting": 3}), START)
    complete = render(run_data([good(1, 1)], proxies=1), START)

    assert "still running, as of 2023-11-14 22:13:29 UTC" in running
    assert "Nothing could be fetched any more; 3 pages still wait" in starved
    assert "proven" in complete
    assert "Nothing. This run shows no trouble." in complete


def test_silence_of_the_site_is_drawn_and_advice_is_given() -> None:
    told = run_data([good(1, 1)], silences=[(START + 500, START + 600)], advice="6 workers on 4 proxies")

    page = render(told, START)

    assert page.count('<rect class="silent" x="50.00" width="10.00" height="100"/>') == 1
    assert "On the number of workers: 6 workers on 4 proxies." in page


def test_costs_are_shown_only_with_a_price() -> None:
    told = run_data([good(1, n, size=10_000_000) for n in range(50)] + [bad(2, 1, "banned", size=100_000_000)])

    month, gigabyte = render(told, START, Price(2.5)), render(told, START, Price(3, per_gigabyte=True))

    assert "What it cost" not in render(told, START)
    assert "At 2.50 for a proxy and month" in month
    assert "At 3.00 a gigabyte this run cost <b>1.80</b>, or <b>36.00 for 1,000 good pages</b>" in gigabyte
    assert "100.0 MB, worth 0.30, went to failed attempts" in gigabyte


def test_a_list_too_long_for_a_page_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PROXIES", 3)
    told = run_data([bad(n, 1, "refused") for n in range(1, 6)], proxies=5)

    page = render(told, START, Price(2.5))

    assert "These are the 3 proxies with most trouble; 2 more are not shown." in page
    assert "These are the proxies that failed most; 2 more are not shown." in page
    assert "These are the most expensive; 2 more are not shown." in page
    assert page.count('<svg class="strip"') == 3


def test_small_amounts_keep_two_figures() -> None:
    shown = [money(amount) for amount in (0, 1234.5, 0.5, 0.0034, 1e-9)]

    assert shown == ["0.00", "1,234.50", "0.50", "0.0034", "under 0.0001"]


# ------------------------------------------------------------------------------------------------ where it is written


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "movies.db"
    whole_run(path)
    return path


def symlink(folder: Path) -> Path:
    (folder / "link.html").symlink_to(folder / "movies.db")
    return folder / "link.html"


def another_page(folder: Path) -> Path:
    (folder / "mine.html").write_text("<title>my page</title>")
    return folder / "mine.html"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (lambda folder: folder / "movies.db", "is the journal"),
        (lambda folder: folder / "movies.db-wal", "one of the journal's side files"),
        (lambda folder: folder / ".movies.db.claim", "one of the journal's side files"),
        (symlink, "is the journal"),
        (another_page, "holds something else"),
        (lambda folder: folder, "is not a file"),
        (lambda folder: Path("/dev/null"), "is not a file"),
        (lambda folder: folder / "nowhere" / "report.html", "its folder does not exist"),
    ],
)
def test_what_is_no_report_of_ours_is_never_overwritten(journal: Path, place: Callable[[Path], Path], why: str) -> None:
    target = place(journal.parent)

    with pytest.raises(SettingsError, match=why):
        check_page(target, journal)


def test_an_earlier_report_and_an_empty_file_are_overwritten(journal: Path) -> None:
    page, empty = journal.with_name("movies.db.html"), journal.with_name("empty.html")
    empty.touch()
    write_page(render(run_data([good(1, 1)]), START), page)

    check_page(page, journal)
    check_page(empty, journal)
    size = write_page("ü", page)

    assert (page.read_text(encoding="utf-8"), size) == ("ü", 2)


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = journal.with_name("report.html")
    page.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match=r"report\.html: cannot be written \(No space left on device\)"):
        write_page("new", page)

    assert page.read_text() == "old"
    assert not [path for path in journal.parent.iterdir() if path.name.startswith(".report")]


@pytest.mark.parametrize(
    ("state", "failed", "stages", "heading"),
    [
        ("complete", 0, (StageYield("detail", fruitful=9),), "complete"),
        ("complete", 3, (StageYield("detail", fruitful=9),), "over, 3 pages missing"),
        ("complete", 0, (StageYield("index", gone=1),), "over, nothing extracted"),
        ("stopped", 3, (StageYield("detail", fruitless=3, settled=3),), "stopped, nothing from stage detail"),
        ("limited", 0, (StageYield("detail", fruitful=9, waiting=2),), "limited"),
    ],
)
def test_badge_and_title_say_what_is_missing(
    state: str, failed: int, stages: tuple[StageYield, ...], heading: str
) -> None:
    found = RunYield(stages, 9 * stages[0].fruitful, {"done": 1})

    page = render(run_data([good(1, 1)], state=state, tasks={"failed": failed}, found=found), START)

    badge = "fine" if heading == "complete" else "bad"
    assert f'<span class="state {badge}">{heading}</span>' in page
    assert f"<title>movies: {heading}: pinpool report</title>" in page


def test_the_share_of_filled_items_stands_by_field() -> None:
    page = render(run_data([good(1, 1)], fields=[StageFields("detail", 20, {"title": 19, "<score>": 0})]), START)

    assert '<td class="text">title</td><td data-value="0.95">95%</td><td data-value="20">20</td>' in page
    assert '<td class="text">&lt;score&gt;</td><td data-value="0.0" class="bad">0%</td>' in page
