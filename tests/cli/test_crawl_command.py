"""The commands as a user starts them: what they say, what they write, and the code they end with."""

from __future__ import annotations

import csv
import io
import re

import pytest

from commands import LIST, Desk
from films import films, holds_each_film_once, stored
from pinpool.lab import Lab
from pinpool.output.streams import open_output

# What CLI.md promises of `stats --json`.
RUN = ["spider", "state", "started", "ended", "workers", "engine", "pages", "items", "seconds", "tasks"]
RUN += ["worker_losses", "pool_rebuilds"]
TASKS = ["done", "gone", "failed", "waiting", "in_flight"]
PROXY = ["proxy", "state", "reason", "attempts", "ok", "gone", "failed", "success_rate", "faults", "charged"]
PROXY += ["forgiven", "overtaken", "latency_p50", "latency_p95", "bytes", "pins", "busy_seconds", "first_error"]
PROXY += ["last_error"]
# What has joined since.
MORE = {"until", "success_low", "success_high", "wasted_bytes", "wasted_seconds", "pages_per_hour"}
MORE |= {"first_error_at", "last_error_at"}


def test_a_crawl_appends_its_items_and_says_how_it_went(desk: Desk, lab: Lab) -> None:
    desk.write("films.jsonl", '{"url": "old"}\n')

    code, out, err = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")

    old, *new = (item["url"] for item in desk.lines("films.jsonl"))
    assert (code, err) == (0, "appends to films.jsonl, which has 1 line\n")
    assert (old, sorted(new)) == ("old", films(lab))
    assert out.startswith("complete: 22 pages, 20 items")
    # A worker that is slow to start may find nothing left to do.
    assert re.search(r"^proxies: 4, [1-4] good(, [1-3] untried)?$", out, re.MULTILINE)


@pytest.mark.usefixtures("lab")
def test_a_crawl_is_refused_an_output_that_another_writes_and_leaves_no_journal(desk: Desk) -> None:
    (desk / "link.jsonl").symlink_to("films.jsonl")

    with open_output(str(desk / "films.jsonl")):
        said = desk.run("crawl", "films.py", *LIST, "-o", "link.jsonl")

    refused = "output link.jsonl: another pinpool is writing it: wait for it, or name another file\n"
    assert (said.code, said.out, said.err) == (2, "", refused)
    assert not (desk / "films.db").exists()


def test_overwriting_and_csv_and_two_outputs_at_once(desk: Desk, lab: Lab) -> None:
    desk.write("films.jsonl", '{"url": "old"}\n')
    desk.write("films.txt", "old\n")

    said = desk.run("crawl", "films.py", *LIST, "-O", "films.jsonl", "-O", "films.txt:csv")

    rows = list(csv.DictReader(io.StringIO((desk / "films.txt").read_text(encoding="utf-8"))))
    titles = {lab.named_url + path: film.title for path, film in lab.films().items()}
    assert said.code == 0
    assert {row["url"]: row["title"] for row in rows} == titles
    assert len(rows) == 20
    assert sorted(item["url"] for item in desk.lines("films.jsonl")) == films(lab)


def test_on_stdout_there_are_items_and_nothing_else(desk: Desk, lab: Lab) -> None:
    said = desk.run("crawl", "films.py", *LIST, "-o", "-")

    assert sorted(item["url"] for item in said.items()) == films(lab)
    assert said.err.startswith("complete: 22 pages, 20 items")


@pytest.mark.parametrize("way", ["stdin", "variable with the path", "variable with the list"])
def test_the_list_of_proxies_comes_from_stdin_or_from_the_environment(desk: Desk, lab: Lab, way: str) -> None:
    text = (desk / "proxies.txt").read_text(encoding="utf-8")
    value = {"stdin": "", "variable with the path": "proxies.txt", "variable with the list": text}[way]
    option = ["-p", "-"] if way == "stdin" else []

    said = desk.run("crawl", "films.py", *option, "--json", stdin=text, PINPOOL_PROXIES=value)

    assert (said.code, said.err) == (0, "")
    assert [row["proxy"] for row in said.json()["proxies"]] == [proxy.label for proxy in lab.proxies]


def test_seeds_from_stdin_take_the_place_of_the_spiders(desk: Desk, lab: Lab) -> None:
    said = desk.run("crawl", "films.py", *LIST, "--seeds", "-", "-o", "-", stdin=f"{lab.named_url}/page/2\n")

    assert {item["url"] for item in said.items()} == {f"{lab.named_url}/detail/{n}" for n in range(11, 21)}


def test_the_summary_in_json_is_what_stats_says_with_exactly_the_promised_fields(desk: Desk, lab: Lab) -> None:
    crawl = desk.run("crawl", "films.py", *LIST, "-w", 2, "--json")
    stats = desk.run("stats", "films.db", "--json")

    document = crawl.json()
    assert (crawl.code, crawl.err) == (0, "")
    assert crawl.out == stats.out
    assert list(document) == ["run", "proxies"]
    assert list(document["run"]) == RUN
    assert list(document["run"]["tasks"]) == TASKS
    assert [[key for key in row if key not in MORE] for row in document["proxies"]] == [PROXY] * 4
    assert all(set(row) >= MORE for row in document["proxies"])
    assert (document["run"]["spider"], document["run"]["state"], document["run"]["workers"]) == (
        "films",
        "complete",
        2,
    )
    assert document["run"]["tasks"] == {"done": 22, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 0}
    assert (document["run"]["pages"], document["run"]["items"]) == (22, 20)
    assert sum(row["ok"] for row in document["proxies"]) == 22


def test_no_proxy_is_pinned_when_a_run_has_ended(desk: Desk, lab: Lab) -> None:
    document = desk.run("crawl", "films.py", *LIST, "--json").json()

    assert {row["state"] for row in document["proxies"]} == {"spare"}


def test_more_workers_than_proxies_are_reported_even_if_quiet(desk: Desk, lab: Lab) -> None:
    said = desk.run("crawl", "films.py", *LIST, "-w", 6, "-q")

    assert (said.code, said.err) == (0, "6 workers on 4 proxies: 2 of them wait for a spare\n")


def test_max_failures_allows_so_many_failed_tasks(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 418)

    said = desk.run("crawl", "films.py", *LIST, "--max-failures", 1, "-q")

    assert (said.code, said.err) == (0, "")


def test_a_page_that_is_gone_is_not_a_failure(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 404)

    said = desk.run("crawl", "films.py", *LIST, "--json")

    assert said.code == 0
    assert said.json()["run"]["tasks"] == {"done": 21, "gone": 1, "failed": 0, "waiting": 0, "in_flight": 0}


def test_no_password_is_printed_or_written(desk: Desk, lab: Lab) -> None:
    lab.set_fault(0, "auth")
    lab.set_fault(1, "auth")
    lab.set_site_fault("/detail/3", 418)

    said = [
        desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl"),
        desk.run("failures", "films.db"),
        desk.run("stats", "films.db", "--faults"),
    ]

    secrets = [proxy.password for proxy in lab.proxies if proxy.password]
    texts = [text for one in said for text in (one.out, one.err)]
    written = [path.read_bytes().decode("latin-1") for path in desk.folder.iterdir() if "films." in path.name]
    assert "proxy_auth" in texts[-2]
    assert len(secrets) == 4
    assert [secret for secret in secrets for text in (*texts, *written) if secret in text] == []


def test_a_fresh_crawl_keeps_the_unfinished_run_under_another_name(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST, "--limit", 5)

    refused = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    fresh = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl", "--fresh")

    (kept,) = desk.folder.glob("films.*.db")
    assert (refused.code, refused.out) == (2, "")
    assert (fresh.code, fresh.err) == (0, f"films.db: the earlier run is kept as {kept.name}\n")
    assert desk.run("stats", kept.name, "--json").json()["run"]["pages"] == 5
    assert holds_each_film_once(desk, lab)


def test_a_crawl_after_a_complete_one_starts_again_and_keeps_the_old_journal(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST)

    again = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")

    (kept,) = desk.folder.glob("films.*.db")
    assert (again.code, again.err) == (0, f"films.db: the earlier run is kept as {kept.name}\n")
    assert stored(kept) == films(lab)
    assert holds_each_film_once(desk, lab)
