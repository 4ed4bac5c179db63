"""The commands beside a crawl as a user starts them: stats, verify, try, the lab and the demo."""

from __future__ import annotations

import csv
import io
import signal

from commands import DEADLINE, LIST, Desk, Said
from journals import new_journal, task
from pinpool.lab import Lab
from pinpool.terminal.proxy_table import SORTS


def test_stats_and_verify_read_a_journal_while_the_crawl_writes_it(desk: Desk, lab: Lab) -> None:
    """The crawl hangs at its last page until a second signal stops it."""
    lab.set_site_fault("/detail/20", "silent")
    program = desk.start("crawl", "films.py", *LIST, "--timeout", 600, "--deadline", 600)
    lab.wait_for(lambda: sum(seen.ended is not None for seen in lab.requests) == 21, DEADLINE)

    said = settled(desk)
    verify = desk.run("verify", "films.db")
    program.send(signal.SIGINT)
    assert program.error_line().startswith("stopping: what is in flight is finished first")
    program.send(signal.SIGINT)
    end = program.end()

    run = said.json()["run"]
    assert (said.code, said.err) == (0, "")
    assert (run["state"], run["ended"]) == ("running", None)
    assert run["tasks"] == {"done": 21, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 1}
    assert (verify.code, verify.err) == (3, "")
    assert "1 task is still open" in verify.out
    assert end.code == 130


def settled(desk: Desk) -> Said:
    """What `stats` says as soon as the crawl has written all but the last page, which it does within 5 s."""
    for _ in range(100):
        said = desk.run("stats", "films.db", "--json")
        if said.code != 0 or said.json()["run"]["tasks"]["waiting"] + said.json()["run"]["pages"] == 21:
            return said
    raise AssertionError(f"the crawl does not write what it has: {said.out}")


def test_stats_are_a_table_that_can_be_sorted(desk: Desk, lab: Lab) -> None:
    lab.set_fault(0, "auth")
    desk.run("crawl", "films.py", *LIST, "-w", 1)

    by_trouble = desk.run("stats", "films.db").out.split("\n\n")[1].splitlines()
    by_name = desk.run("stats", "films.db", "--sort", "proxy", "--faults").out.split("\n\n")[1].splitlines()

    assert by_trouble[0].split()[:3] == ["proxy", "state", "good"]
    assert by_trouble[1].split()[:2] == [lab.proxies[0].label, "retired"]
    names = [line.split()[0] for line in by_name[1:] if not line.startswith(" ")]
    assert names == sorted(proxy.label for proxy in lab.proxies)
    assert "    retired: it refuses our login" in by_name
    assert "    proxy_auth 1; 1 charged, 0 forgiven" in by_name


def test_help_explains_every_sort_key_and_another_one_is_refused(desk: Desk) -> None:
    new_journal(desk / "films.db", task("1", "index")).close()

    explained = desk.run("stats", "--help").out.partition("Sort keys")[2].partition("Example:")[0].split()
    refused = desk.run("stats", "films.db", "--sort", "beauty")

    assert set(SORTS) <= set(explained)
    assert (refused.code, "'beauty' is not one of trouble, proxy, " in refused.err) == (2, True)


def test_stats_in_csv_have_a_row_for_each_proxy_with_the_figures_of_json(desk: Desk, lab: Lab) -> None:
    lab.set_fault(0, "auth")
    desk.run("crawl", "films.py", *LIST, "-w", 1)

    document = desk.run("stats", "films.db", "--json", "--sort", "failed").json()["proxies"]
    rows = list(csv.DictReader(io.StringIO(desk.run("stats", "films.db", "--csv", "--sort", "failed").out)))
    both = desk.run("stats", "films.db", "--csv", "--json")

    assert [row["proxy"] for row in rows] == [row["proxy"] for row in document]
    assert [int(row["ok"]) for row in rows] == [row["ok"] for row in document]
    assert (rows[0]["proxy_auth"], rows[0]["refused"]) == ("1", "0")
    assert (both.code, "--json and --csv exclude each other" in both.err) == (2, True)


def test_stats_work_for_a_run_that_has_done_nothing_yet(desk: Desk) -> None:
    new_journal(desk / "films.db", task("1", "index")).close()

    table, document = (
        desk.run("stats", "films.db", "--faults"),
        desk.run("stats", "films.db", "--json").json(),
    )

    assert table.code == 0
    assert "not tried" in table.out
    assert [(row["attempts"], row["success_rate"], row["success_high"]) for row in document["proxies"]] == [
        (0, None, 1.0)
    ] * 2
