"""The commands beside a crawl as a user starts them: stats, verify, try, the lab and the demo."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections.abc import Iterator

import pytest

from commands import DEADLINE, SPIDER, Desk, Said
from journals import new_journal, task
from pinpool.lab import Lab

LIST = ("-p", "proxies.txt")


@pytest.fixture
def lab(desk: Desk) -> Iterator[Lab]:
    """Twenty films behind four good proxies; nothing may ever go past these, nor two workers share one."""
    with Lab(pages=2, proxies=4) as made:
        desk.prepare(made)
        yield made
        assert made.direct == 0
        assert all(proxy.max_users <= 1 for proxy in made.proxies)


# ---------------------------------------------------------------------------------------------- looking at a run


def test_stats_and_verify_read_a_journal_while_the_crawl_writes_it(desk: Desk, lab: Lab) -> None:
    """The crawl hangs at its last page until it is told to stop at once."""
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


def test_stats_in_csv_have_a_row_for_each_proxy_with_the_figures_of_json(desk: Desk, lab: Lab) -> None:
    lab.set_fault(0, "auth")
    desk.run("crawl", "films.py", *LIST, "-w", 1)

    told = desk.run("stats", "films.db", "--json", "--sort", "failed").json()["proxies"]
    rows = list(csv.DictReader(io.StringIO(desk.run("stats", "films.db", "--csv", "--sort", "failed").out)))
    both = desk.run("stats", "films.db", "--csv", "--json")

    assert [row["proxy"] for row in rows] == [row["proxy"] for row in told]
    assert [int(row["ok"]) for row in rows] == [row["ok"] for row in told]
    assert (rows[0]["proxy_auth"], rows[0]["refused"]) == ("1", "0")
    assert (both.code, "--json and --csv exclude each other" in both.err) == (2, True)


def test_stats_of_a_run_that_has_done_nothing_yet_are_told_all_the_same(desk: Desk) -> None:
    new_journal(desk / "films.db", task("1", "index")).close()

    table, told = desk.run("stats", "films.db", "--faults"), desk.run("stats", "films.db", "--json").json()

    assert table.code == 0
    assert "not tried" in table.out
    assert [(row["attempts"], row["success_rate"], row["success_high"]) for row in told["proxies"]] == [
        (0, None, 1.0)
    ] * 2


# ---------------------------------------------------------------------------------------------- try


def test_trying_a_list_page_shows_its_tasks_and_writes_nothing(desk: Desk, lab: Lab) -> None:
    before = sorted(desk.folder.iterdir())

    code, out, err = desk.run("try", "films.py", *LIST)

    assert (code, err) == (0, "")
    assert out.startswith(f"through {lab.proxies[0].label}\n200 {lab.named_url}/page/1: ")
    assert out.count("detail: GET ") == 10
    assert out.endswith("0 items, 10 tasks\n")
    assert sorted(path for path in desk.folder.iterdir() if path.name != "__pycache__") == before


def test_trying_a_film_shows_its_item_through_the_first_proxy_that_works(desk: Desk, lab: Lab) -> None:
    lab.set_fault(0, "auth")
    url = f"{lab.named_url}/detail/7"

    code, out, err = desk.run("try", "films.py", url, "--stage", "detail", *LIST)

    item = json.loads(out[out.index("{") : out.index("}") + 1])
    assert code == 0
    assert err.startswith(f"{lab.proxies[0].label}: proxy_auth: ")
    assert out.startswith(f"through {lab.proxies[1].label}\n")
    assert item == {"url": url, "title": lab.films()["/detail/7"].title}


def test_trying_directly_goes_past_the_proxies_and_past_those_of_the_environment(desk: Desk) -> None:
    with Lab(pages=1, proxies=2) as lab:
        desk.prepare(lab)
        trap = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), lab.proxies[0].url)

        index = desk.run("try", "films.py", f"{lab.url}/page/1", "--direct", **trap)
        film = desk.run("try", "films.py", f"{lab.url}/detail/1", "--stage", "detail", "--direct", **trap)

        assert (index.code, film.code) == (0, 0)
        assert index.out.endswith("0 items, 10 tasks\n")
        assert lab.films()["/detail/1"].title in film.out
        assert (lab.direct, len(lab.requests)) == (2, 2)


def test_trying_a_page_of_which_nothing_comes_is_exit_3(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/page/2", 503)

    wrong = desk.run("try", "films.py", f"{lab.named_url}/detail/1", *LIST)
    ill = desk.run("try", "films.py", f"{lab.named_url}/page/2", *LIST)

    assert (wrong.code, ill.code) == (3, 3)
    assert wrong.err.startswith("nothing extracted")
    assert "server_error" in ill.err


# ---------------------------------------------------------------------------------------------- lab and demo


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_lab_serves_until_it_is_told_to_end(desk: Desk, number: signal.Signals) -> None:
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


def test_the_calm_demo_scrapes_every_film_right(desk: Desk) -> None:
    said = desk.run(
        *("demo", "--calm", "--pages", 2, "--proxies", 3, "--workers", 2, "--keep", "kept"),
        HTTP_PROXY="http://127.0.0.1:9",
        TMPDIR=str(desk.folder),
    )

    assert (said.code, said.err) == (0, "")
    assert "20 films right, 0 wrong, 0 missing, 0 twice; 0 requests past the proxies" in said.out
    assert "coverage: proven complete: 2 seeds, 22 tasks" in said.out
    assert len(desk.lines("kept/films.jsonl")) == 20
    assert "report: kept/report.html" in said.out
    assert "<title>movies: pinpool report</title>" in (desk / "kept/report.html").read_text(encoding="utf-8")
