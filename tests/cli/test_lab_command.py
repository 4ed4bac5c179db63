"""`pinpool lab`: the practice site and its proxies."""

from __future__ import annotations

import signal

import pytest

from commands import SPIDER, Desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_lab_serves_until_a_signal_ends_it(desk: Desk, number: signal.Signals) -> None:
    program = desk.start("lab", "--site-port", 0, "--write-proxies", "list.txt", "--faults", "refused")
    url = program.line().split()[1]
    while not (line := program.line()).startswith("list with passwords: list.txt"):
        assert line.startswith("proxy: ")

    desk.write("films.py", SPIDER.format(seeds=""))
    tried = desk.run("try", "films.py", url, "-p", "list.txt")
    program.send(number)
    code, _, err = program.end()

    assert tried.code == 0
    assert tried.out.endswith("0 items, 10 tasks\n")
    assert code == 0
    assert "Traceback" not in err
