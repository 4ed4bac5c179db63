"""`pinpool lab`: the practice site and its proxies."""

from __future__ import annotations

import signal
from urllib.request import urlopen

import pytest

from commands import DEADLINE, SPIDER, Desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_lab_serves_until_a_signal_ends_it(desk: Desk, number: signal.Signals) -> None:
    program = desk.start("lab", "--site-port", 0, "--write-proxies", "list.txt", "--faults", "refused")
    url = program.line().split()[1]
    while not (line := program.line()).startswith("list with passwords: list.txt"):
        assert line.startswith(("page: ", "difficult: ", "proxy: "))

    desk.write("films.py", SPIDER.format(seeds=""))
    tried = desk.run("try", "films.py", url, "-p", "list.txt")
    program.send(number)
    code, _, err = program.end()

    assert tried.code == 0
    assert tried.out.endswith("0 items, 10 tasks\n")
    assert code == 0
    assert "Traceback" not in err


def test_the_lab_names_its_pages_and_the_example_for_each(desk: Desk) -> None:
    program = desk.start("lab", "--site-port", 0)
    site = program.line().split()[1].removesuffix("/page/1")
    lines = [program.line().split() for _ in range(7)]
    *pages, difficult = lines

    statuses = {path: status_of(site + path) for path in [page[1] for page in pages] + ["/"]}
    program.send(signal.SIGINT)
    program.end()

    assert set(statuses.values()) == {200}
    assert {page[0] for page in pages} == {"page:"}
    assert [page[-1].rstrip(")") for page in pages] == [
        "start",
        "films_api",
        "search_form",
        "news_feed",
        "shop",
        "reports",
    ]
    assert difficult[0] == "difficult:"
    assert "/truncated" in difficult


def status_of(url: str) -> int:
    with urlopen(url, timeout=DEADLINE) as answer:
        status: int = answer.status
        return status
