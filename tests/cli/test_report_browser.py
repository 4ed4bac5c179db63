"""The report in a real Chromium: it runs nothing but its own script, asks for nothing, sorts, and can be read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_html import HOSTILE, poison_labels, poisoned

from browser import CHROMIUM, Browser
from journals import START
from pinpool.report.cost import Price
from pinpool.report.harvest import StoredItem
from pinpool.report.html import render
from pinpool.report.queries import read_run
from pinpool.report.timeline import TimeAxis
from run_data import bad, good, run_data
from synthetic import synthetic_run

REQUIRED = os.environ.get("PINPOOL_REQUIRE_CHROMIUM") == "1"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium here: apt install chromium"),
]

ROWS = "Array.from(document.querySelectorAll('#proxy-table tbody tr'), row => row.cells[{column}].dataset.value)"
FAILED = 10  # the column
#: How many tiles stand in each row of them.
TILES = """
(() => {
  const rows = {};
  for (const tile of document.querySelectorAll(".tiles > div")) {
    const top = tile.getBoundingClientRect().top;
    rows[top] = (rows[top] || 0) + 1;
  }
  return Object.values(rows);
})()
"""
#: The numbers and words of addresses that a line breaks in two.
BROKEN = """
(() => {
  const broken = [];
  for (const cell of document.querySelectorAll("#proxy-table tbody th")) {
    for (const node of cell.childNodes) {
      if (node.nodeType !== 3) continue;
      for (const part of node.data.matchAll(/[0-9A-Za-z]+/g)) {
        const range = document.createRange();
        range.setStart(node, part.index);
        range.setEnd(node, part.index + part[0].length);
        if (range.getClientRects().length > 1) broken.push(cell.textContent);
      }
    }
  }
  return broken;
})()
"""
#: The texts at the axes of each chart that overlap, or leave the screen.
CROWDED = """
(() => {
  const crowded = [];
  for (const chart of document.querySelectorAll("svg.chart")) {
    for (const axis of [".levels", ".marks", ".pauses"]) {
      const texts = Array.from(chart.querySelectorAll(`${axis} text`));
      const shown = texts.map(text => [text.textContent, text.getBoundingClientRect()])
        .filter(([, box]) => box.width);
      shown.forEach(([text, box], number) => {
        if (box.left < 0 || box.right > document.documentElement.clientWidth) crowded.push(text);
        for (const [other, behind] of shown.slice(number + 1))
          if (box.left < behind.right && behind.left < box.right && box.top < behind.bottom && behind.top < box.bottom)
            crowded.push(`${text} on ${other}`);
      });
    }
  }
  return crowded;
})()
"""

#: The texts of which letters and ground differ too little (WCAG: 4.5 to 1, large letters 3 to 1).
FAINT = """
(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const element of document.body.querySelectorAll("*:not(script, svg, svg *)")) {
    if (!Array.from(element.childNodes).some(node => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(style.color), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 20 ? 3 : 4.5))
      faint.push(`${element.tagName}.${element.className} ${contrast.toFixed(2)} ${element.textContent.slice(0, 40)}`);
  }
  return faint;
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a long run in which much went wrong."""
    folder = tmp_path_factory.mktemp("report")
    synthetic_run(folder / "movies.db", proxies=25, attempts=2000)
    path = folder / "report.html"
    path.write_text(render(read_run(folder / "movies.db", START), START, Price(2.5)), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def fresh_ears(browser: Browser) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    browser.look()


def interrupted(stopped: float, resumed: float) -> Any:
    """A run of 30 seconds that stopped after ten of them and was resumed."""
    axis = TimeAxis(START, resumed + 20, [(stopped, resumed)])
    items = [StoredItem("detail", '{"title": "a"}', START + n) for n in range(10)]
    return run_data([good(1, n) for n in range(10)], axis=axis, items=items, run={"starts": 2})


def column(browser: Browser, number: int) -> list[float]:
    return [float(text) for text in browser.ask(ROWS.format(column=number))]


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)

    assert browser.ask("document.querySelectorAll('#proxy-table tbody tr').length") == 25
    assert browser.ask("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
    assert (browser.requests, browser.complaints) == ([page.as_uri()], [])


@pytest.mark.parametrize("text", HOSTILE[:-1], ids=range(len(HOSTILE) - 1))
def test_no_text_of_a_stranger_runs(browser: Browser, tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(poison_labels(poisoned(text), text), START, Price(2.5)), encoding="utf-8")

    browser.open(path)

    assert browser.ask("document.title").endswith(": pinpool report")
    assert browser.ask("document.scripts.length") == 1
    assert (browser.requests, browser.complaints) == ([path.as_uri()], [])


def test_a_script_that_got_in_all_the_same_would_be_stopped(browser: Browser, page: Path) -> None:
    browser.open(page)
    with socket.create_server(("127.0.0.1", 0)) as spy:
        spy.setblocking(False)
        address = f"http://127.0.0.1:{spy.getsockname()[1]}/x"

        browser.ask(
            f"""{{
                const script = document.createElement("script");
                script.textContent = "document.title = 'owned'";
                const image = '<img src="{address}" onerror="document.title = 2" style="width: 9px">';
                document.body.append(script);
                document.body.insertAdjacentHTML("beforeend", image);
            }}"""
        )

        assert browser.ask("document.title") == "movies: over, 3 pages missing: pinpool report"
        stopped = " ".join(said for said in browser.complaints if "Content Security Policy" in said)
        assert all(word in stopped for word in ("inline script", "inline event handler", "inline style", address))
        with pytest.raises(BlockingIOError):
            spy.accept()


def test_a_table_is_sorted_from_the_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, FAILED)
    head = f"document.querySelector('#proxy-table').tHead.rows[0].cells[{FAILED}]"

    browser.ask(f"{head}.previousElementSibling.firstElementChild.focus()")
    browser.press("Tab", 9)
    browser.press("Enter", 13)
    falling = column(browser, FAILED), browser.ask(f"{head}.getAttribute('aria-sort')")
    browser.press("Enter", 13)
    rising = column(browser, FAILED), browser.ask(f"{head}.getAttribute('aria-sort')")

    assert falling == (sorted(before, reverse=True), "descending")
    assert rising == (sorted(before), "ascending")
    assert before not in (falling[0], rising[0])
    assert browser.ask("document.querySelectorAll('#proxy-table [aria-sort]').length") == 1
    assert browser.complaints == []


def test_names_are_sorted_as_people_count_and_a_column_without_a_figure_comes_last(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    press = "document.querySelectorAll('section[aria-labelledby=cost] th button')[{}].click()"
    names = "Array.from(document.querySelectorAll('section[aria-labelledby=cost] tbody tr'), row => row.innerText)"

    browser.ask(press.format(0))
    by_name: list[Any] = browser.ask(names)
    browser.ask(press.format(3))
    by_cost: list[Any] = browser.ask(names)
    browser.ask(press.format(3))
    by_cost_rising: list[Any] = browser.ask(names)

    assert [row.partition("@proxy")[2].partition(".")[0] for row in by_name] == [str(n) for n in range(1, 26)]
    assert all("no page" in row for row in (by_cost[-1], by_cost_rising[-1]))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser: Browser, page: Path, dark: bool) -> None:
    browser.look(dark=dark)

    browser.open(page)
    browser.ask(
        """for (const shade of [1, 2, 3, 4, 5]) {
            const cell = document.querySelector(".heat").tBodies[0].rows[0].insertCell();
            cell.className = `h${shade}`;
            cell.textContent = shade;
        }"""
    )

    assert browser.ask(FAINT) == []
    assert (browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") is not dark


def test_on_a_phone_nothing_is_wider_than_the_screen_but_the_tables_that_scroll(browser: Browser, page: Path) -> None:
    browser.look(390)

    browser.open(page)

    assert browser.ask("document.documentElement.scrollWidth") == 390
    assert browser.ask("document.querySelector('.scroll').scrollWidth") > 390


@pytest.mark.parametrize("width", [1920, 1280, 1200, 1000, 700, 600, 390, 320])
def test_no_tile_stands_alone(browser: Browser, page: Path, width: int) -> None:
    browser.look(width)

    browser.open(page)

    rows = browser.ask(TILES)
    assert sum(rows) == 8
    assert len(set(rows)) == 1, rows


def test_the_share_of_good_attempts_stands_beside_the_address(browser: Browser, page: Path) -> None:
    browser.look(390)

    browser.open(page)

    heads = browser.ask("Array.from(document.querySelectorAll('#proxy-table thead th'), head => head.innerText)")
    right = "document.querySelector('#proxy-table tbody tr').cells[1].getBoundingClientRect().right"
    assert heads[:3] == ["proxy", "good", "state"]
    assert browser.ask(right) < 390


@pytest.mark.parametrize("width", [390, 1280])
def test_no_address_breaks_within_a_number_or_a_word(browser: Browser, page: Path, width: int) -> None:
    browser.look(width)

    browser.open(page)

    assert browser.ask("document.querySelector('#proxy-table tbody th').innerText").count("@proxy") == 1
    assert browser.ask(BROKEN) == []


def test_on_a_desk_the_table_of_proxies_needs_no_scrolling(browser: Browser, page: Path) -> None:
    browser.look(1280)

    browser.open(page)

    wide = "Array.from(document.querySelectorAll('.scroll')).filter(one => one.scrollWidth > one.clientWidth)"
    assert browser.ask(f"{wide}.map(one => one.getAttribute('aria-labelledby'))") == []


@pytest.mark.parametrize("width", [390, 1280])
def test_reasons_are_whole(browser: Browser, page: Path, width: int) -> None:
    browser.look(width)

    browser.open(page)

    reasons = "Array.from(document.querySelectorAll('td small, th small'))"
    assert browser.ask(f"{reasons}.filter(one => one.scrollWidth > one.clientWidth + 1).length") == 0
    assert "refused again after 5 rests in a row" in browser.ask("document.querySelector('#proxy-table').innerText")


@pytest.mark.parametrize("width", [390, 1280])
def test_what_stands_at_the_axes_can_be_read(browser: Browser, page: Path, width: int) -> None:
    browser.look(width)

    browser.open(page)

    assert browser.ask("document.querySelectorAll('svg.chart').length") == 3
    assert browser.ask("document.querySelectorAll('svg.chart .levels text').length") >= 6
    assert browser.ask(CROWDED) == []


@pytest.mark.parametrize("hours", [0.04, 5, 40, 9000])
def test_the_time_at_the_axes_can_be_read_on_a_phone_however_long_the_run(
    browser: Browser, tmp_path: Path, hours: float
) -> None:
    path = tmp_path / "report.html"
    axis = TimeAxis(START, START + hours * 3600)
    path.write_text(render(run_data([good(1, 1), bad(1, 2, "reset")], axis=axis), START), encoding="utf-8")
    browser.look(390)

    browser.open(path)

    assert browser.ask(CROWDED) == []
    assert browser.ask("document.documentElement.scrollWidth") == 390


def test_the_gap_between_two_starts_is_marked_in_each_chart(browser: Browser, tmp_path: Path) -> None:
    night = (START + 10, START + 9 * 3600)
    path = tmp_path / "report.html"
    path.write_text(render(interrupted(*night), START), encoding="utf-8")

    browser.open(path)

    marks = "Array.from(document.querySelectorAll('svg.chart .pauses'), one => one.textContent)"
    assert browser.ask(marks) == ["8 h 59 min later"] * 2
    line = "document.querySelector('svg.chart .pauses line').getBoundingClientRect()"
    chart = "document.querySelector('svg.chart').getBoundingClientRect()"
    assert browser.ask(f"({line}.left - {chart}.left) / {chart}.width") == pytest.approx(1 / 3, abs=0.01)
    assert browser.ask(f"{line}.height / {chart}.height") == pytest.approx(1, abs=0.01)
    assert browser.ask(CROWDED) == []


def test_on_paper_tables_are_whole(browser: Browser, page: Path, tmp_path: Path) -> None:
    a4_landscape = 1032  # CSS pixels between its margins
    browser.look(a4_landscape, dark=True, medium="print")

    browser.open(page)
    browser.printed(tmp_path / "report.pdf")

    boxes = "Array.from(document.querySelectorAll('.scroll'))"
    assert browser.ask(f"{boxes}.filter(one => one.scrollHeight > one.clientHeight + 1).length") == 0
    assert browser.ask("document.querySelector('.scroll').scrollWidth") <= a4_landscape
    assert browser.ask("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_without_script_all_is_there(browser: Browser, page: Path) -> None:
    browser.look(script=False)

    browser.open(page)

    # The tree is asked by the debugger itself, for the page may run nothing.
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    found = {
        what: len(browser.call("DOM.querySelectorAll", nodeId=root, selector=what)["nodeIds"])
        for what in ("button", "#proxy-table tbody tr", "svg.chart")
    }
    assert found == {"button": 0, "#proxy-table tbody tr": 25, "svg.chart": 3}
