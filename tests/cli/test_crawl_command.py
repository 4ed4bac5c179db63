"""The commands as a user starts them: what they say, what they write, and the code they end with."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import DEADLINE, Desk
from pinpool.journal.reader import Reader
from pinpool.lab import Lab

COMMANDS = [
    "crawl",
    "resume",
    "retry",
    "stats",
    "failures",
    "verify",
    "export",
    "report",
    "tune",
    "try",
    "check",
    "demo",
    "lab",
]
HEAVY = {"requests", "urllib3", "lxml", "rich", "parsel", "w3lib", "sqlite3", "socks", "multiprocessing"}
HEAVY |= {"jinja2"}
LIST = ("-p", "proxies.txt")

# What CLI.md promises of `stats --json`.
RUN = ["spider", "state", "started", "ended", "workers", "engine", "pages", "items", "seconds", "tasks"]
RUN += ["worker_losses", "pool_rebuilds"]
TASKS = ["done", "gone", "failed", "waiting", "in_flight"]
PROXY = ["proxy", "state", "reason", "attempts", "ok", "gone", "failed", "success_rate", "faults", "charged"]
PROXY += ["forgiven", "latency_p50", "latency_p95", "bytes", "pins", "busy_seconds", "first_error"]
PROXY += ["last_error"]
# What has joined since.
MORE = {"until", "success_low", "success_high", "wasted_bytes", "wasted_seconds", "pages_per_hour"}
MORE |= {"first_error_at", "last_error_at"}

NONE_TIMED_OUT = "--reason: no task was given up for 'timeout'; `pinpool failures films.db` says for what"


@pytest.fixture
def lab(desk: Desk) -> Iterator[Lab]:
    """Twenty films behind four good proxies; nothing may ever go past these, nor two workers share one."""
    with Lab(pages=2, proxies=4) as made:
        desk.prepare(made)
        yield made
        assert made.direct == 0
        assert all(proxy.max_users <= 1 for proxy in made.proxies)


def films(lab: Lab) -> list[str]:
    return sorted(lab.films(lab.named_url))


def stored(path: Path) -> list[str]:
    """The films in a journal, by URL."""
    with Reader(path) as reader:
        return sorted(json.loads(text)["url"] for _, text in reader.items())


def complete(desk: Desk, lab: Lab) -> bool:
    """Whether journal and output file hold each film once, and the journal proves it."""
    written = sorted(item["url"] for item in desk.lines("films.jsonl"))
    proven = desk.run("verify", "films.db").code == 0
    return proven and written == films(lab) == stored(desk / "films.db")


# ---------------------------------------------------------------------------------------------- help


def test_every_help_has_an_example_and_loads_nothing_heavy(desk: Desk) -> None:
    code = (
        "import sys\n"
        "from pinpool.cli.app import app\n"
        f"for words in [], *([name] for name in {COMMANDS}):\n"
        "    app.main([*words, '--help'], 'pinpool', standalone_mode=False)\n"
        f"print(sorted({HEAVY} & sys.modules.keys()), file=sys.stderr)\n"
    )

    code_, out, err = desk.start_python("-c", code).end()

    first, *helps = out.split("Usage: ")[1:]
    assert (code_, err) == (0, "[]\n")
    assert [text.split()[1] for text in helps] == COMMANDS
    assert "`pinpool demo`" in first
    assert all(f"Example:\n    pinpool {name} " in text for name, text in zip(COMMANDS, helps, strict=True))


def test_the_shell_completes_commands(desk: Desk) -> None:
    script = desk.run(_PINPOOL_COMPLETE="bash_source")
    choice = desk.run(_PINPOOL_COMPLETE="bash_complete", COMP_WORDS="pinpool cr", COMP_CWORD="1")

    assert "complete -o nosort -F _pinpool_completion pinpool" in script.out
    assert choice.out == "plain,crawl\n"


def test_the_version_is_told(desk: Desk) -> None:
    assert desk.run("--version").out.startswith("pinpool 0.")


# ---------------------------------------------------------------------------------------------- a whole crawl


def test_a_crawl_appends_its_items_and_says_how_it_went(desk: Desk, lab: Lab) -> None:
    desk.write("films.jsonl", '{"url": "old"}\n')

    code, out, err = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")

    old, *new = (item["url"] for item in desk.lines("films.jsonl"))
    assert (code, err) == (0, "")
    assert (old, sorted(new)) == ("old", films(lab))
    assert out.startswith("complete: 22 pages, 20 items")
    assert "proxies: 4, 4 good" in out


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


def test_the_summary_in_json_is_what_stats_says_with_exactly_the_promised_fields(
    desk: Desk, lab: Lab
) -> None:
    crawl = desk.run("crawl", "films.py", *LIST, "-w", 2, "--json")
    stats = desk.run("stats", "films.db", "--json")

    told = crawl.json()
    assert (crawl.code, crawl.err) == (0, "")
    assert crawl.out == stats.out
    assert list(told) == ["run", "proxies"]
    assert list(told["run"]) == RUN
    assert list(told["run"]["tasks"]) == TASKS
    assert [[key for key in row if key not in MORE] for row in told["proxies"]] == [PROXY] * 4
    assert all(set(row) >= MORE for row in told["proxies"])
    assert (told["run"]["spider"], told["run"]["state"], told["run"]["workers"]) == ("films", "complete", 2)
    assert told["run"]["tasks"] == {"done": 22, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 0}
    assert (told["run"]["pages"], told["run"]["items"]) == (22, 20)
    assert sum(row["ok"] for row in told["proxies"]) == 22


def test_no_proxy_is_pinned_when_a_run_has_ended(desk: Desk, lab: Lab) -> None:
    told = desk.run("crawl", "films.py", *LIST, "--json").json()

    assert {row["state"] for row in told["proxies"]} == {"spare"}


def test_more_workers_than_proxies_are_told_that_they_wait_also_if_quiet(desk: Desk, lab: Lab) -> None:
    said = desk.run("crawl", "films.py", *LIST, "-w", 6, "-q")

    assert (said.code, said.err) == (0, "6 workers on 4 proxies: 2 of them wait for a spare\n")


# ---------------------------------------------------------------------------------------------- exit codes, and ways on


def test_a_page_that_fails_is_exit_3_and_is_told_with_its_history(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 418)

    crawl = desk.run("crawl", "films.py", *LIST)
    verify = desk.run("verify", "films.db")
    told = desk.run("failures", "films.db")
    (failure,) = desk.run("failures", "films.db", "--json").json()

    url = f"{lab.named_url}/detail/3"
    warned, said = crawl.err.splitlines()
    assert f" warning pinpool: given up: '{url}': http_error on " in warned
    assert (crawl.code, said) == (3, "1 task failed; `pinpool failures films.db` says why")
    assert (verify.code, told.code) == (3, 0)
    assert "1 task failed" in verify.out
    assert re.match(rf"detail {re.escape(url)}: http_error on [34] proxies\n", told.out)
    assert told.out.count("http_error (status 418)") in (3, 4)
    assert list(failure) == ["task", "stage", "url", "reason", "attempts", "page"]
    assert (failure["stage"], failure["url"]) == ("detail", url)
    assert len({attempt["proxy"] for attempt in failure["attempts"]}) >= 3
    for attempt in failure["attempts"]:
        assert list(attempt) == ["proxy", "fault", "seconds", "status", "at", "message", "page"]
        assert (attempt["fault"], attempt["status"]) == ("http_error", 418)


def test_so_many_failures_may_be_allowed(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 418)

    said = desk.run("crawl", "films.py", *LIST, "--max-failures", 1, "-q")

    assert (said.code, said.err) == (0, "")


def test_a_page_that_is_gone_is_no_failure(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 404)

    said = desk.run("crawl", "films.py", *LIST, "--json")

    assert said.code == 0
    assert said.json()["run"]["tasks"] == {"done": 21, "gone": 1, "failed": 0, "waiting": 0, "in_flight": 0}


def test_what_failed_can_be_put_back_and_is_done_by_a_resume(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/detail/3", 418)
    desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    lab.set_site_fault("/detail/3", None)

    none = desk.run("retry", "films.db", "--reason", "timeout")
    one = desk.run("retry", "films.db", "--reason", "http_error", "--task", f"{lab.named_url}/detail/3")
    resume = desk.run("resume", "films.db")

    assert (none.code, none.out) == (0, f"0 tasks are put back: {NONE_TIMED_OUT}\n")
    assert (one.code, one.out) == (0, "1 task is put back; `pinpool resume films.db` goes on\n")
    assert (resume.code, resume.err) == (0, "")
    assert complete(desk, lab)
    assert desk.run("failures", "films.db").out == "no task was given up\n"


def test_a_run_whose_proxies_are_used_up_is_exit_4_and_goes_on_with_a_better_list(
    desk: Desk, lab: Lab
) -> None:
    worse, better = lab.proxies[:2], lab.proxies[2:]
    for proxy in worse:
        lab.set_fault(proxy.index, "auth")
    desk.write("worse.txt", "".join(f"{proxy.url}\n" for proxy in worse))
    desk.write("better.txt", "".join(f"{proxy.url}\n" for proxy in better))

    starved = desk.run("crawl", "films.py", "-p", "worse.txt", "-o", "films.jsonl", "--json")
    resumed = desk.run("resume", "films.db", "-p", "better.txt")

    assert starved.code == 4
    assert "no usable proxy is left" in starved.err
    assert "`pinpool resume films.db -p LIST`" in starved.err
    assert starved.json()["run"]["state"] == "starved"
    assert [row["state"] for row in starved.json()["proxies"]] == ["retired", "retired"]
    assert resumed.code == 0
    assert complete(desk, lab)


def test_a_list_that_is_named_anew_gives_its_retired_proxies_another_chance(desk: Desk, lab: Lab) -> None:
    """Somebody has paid the bill meanwhile; nobody else would name the list again."""
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, "auth")
    starved = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, None)

    again = desk.run("resume", "films.db")
    named = desk.run("resume", "films.db", *LIST)

    assert (starved.code, again.code, named.code) == (4, 4, 0)
    assert complete(desk, lab)


def test_no_password_is_in_what_is_said_or_written(desk: Desk, lab: Lab) -> None:
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


def test_a_limited_crawl_stops_there_and_can_be_resumed(desk: Desk, lab: Lab) -> None:
    limited = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl", "--limit", 5)
    verify = desk.run("verify", "films.db", "--json")
    resumed = desk.run("resume", "films.db")

    assert limited.code == 0
    assert limited.err == "stopped at the wanted number of pages; `pinpool resume films.db` goes on\n"
    assert limited.out.startswith("interrupted: 5 pages")
    assert (verify.code, verify.json()["ended"], verify.json()["complete"]) == (3, 5, False)
    assert resumed.code == 0
    assert complete(desk, lab)
    assert len(lab.requests) == 22


def test_a_fresh_crawl_keeps_the_unfinished_run_under_another_name(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST, "--limit", 5)

    refused = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    fresh = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl", "--fresh")

    (kept,) = desk.folder.glob("films.*.db")
    assert (refused.code, refused.out) == (2, "")
    assert (fresh.code, fresh.err) == (0, f"films.db: the earlier run is kept as {kept.name}\n")
    assert desk.run("stats", kept.name, "--json").json()["run"]["pages"] == 5
    assert complete(desk, lab)


def test_a_crawl_after_a_complete_one_begins_anew_and_keeps_the_old_journal(desk: Desk, lab: Lab) -> None:
    desk.run("crawl", "films.py", *LIST)

    again = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")

    (kept,) = desk.folder.glob("films.*.db")
    assert (again.code, again.err) == (0, f"films.db: the earlier run is kept as {kept.name}\n")
    assert stored(kept) == films(lab)
    assert complete(desk, lab)


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "Ctrl-C"])
def test_an_interrupted_crawl_is_exit_130_and_a_resume_completes_it(desk: Desk, how: str) -> None:
    with Lab(pages=2, proxies=3, latency=0.2) as lab:
        desk.prepare(lab)
        program = desk.start("crawl", "films.py", *LIST, "-o", "films.jsonl")
        lab.wait_for(lambda: len(lab.requests) >= 6, DEADLINE)

        program.press_ctrl_c() if how == "Ctrl-C" else program.send(signal.Signals[how])
        interrupted = program.end()
        verify = desk.run("verify", "films.db")
        resumed = desk.run("resume", "films.db")

        assert interrupted.code == 130
        assert "Traceback" not in interrupted.err
        assert interrupted.err.endswith("interrupted; `pinpool resume films.db` goes on\n")
        assert interrupted.out.startswith("interrupted: ")
        assert verify.code == 3
        assert resumed.code == 0
        assert complete(desk, lab)
        assert len(lab.requests) == 22
