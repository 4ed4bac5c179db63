"""
Wrong input: one clear message for each fault, which names the place and the next step, and nothing is written.

In this process, because no worker may start.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable

import pytest

from commands import SPIDER, Desk, Said
from journals import new_journal, task
from pinpool.cli.app import run
from pinpool.lab import Lab

Call = Callable[..., Said]
Refused = Callable[..., list[str]]

GOOD = SPIDER.format(seeds='"http://movies.test/page/1"')
SECRET = "s3cret"
BAD_LIST = f"""\
http://alice:{SECRET}@192.0.2.1:99999
192.0.2.2:8080
htp://bob:{SECRET}@192.0.2.3:80

192.0.2.4:1080:carl:
"""


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.write("films.py", GOOD)
    desk.write("proxies.txt", f"http://alice:{SECRET}@192.0.2.1:8080\n")
    return desk


@pytest.fixture
def call(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`pinpool` in this process, at the desk."""
    monkeypatch.chdir(desk.folder)
    monkeypatch.delenv("PINPOOL_PROXIES", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # The forkserver would keep this folder and environment for all tests after this one.
    monkeypatch.setattr("pinpool.pool.child_process.warm_up", lambda preload: None)

    def call_with(*arguments: object, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["pinpool", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as left:
            run()
        assert isinstance(left.value.code, int)
        return Said(left.value.code, *capsys.readouterr())

    return call_with


@pytest.fixture
def refused(desk: Desk, call: Call) -> Refused:
    """The lines that `pinpool` says on stderr when it ends with 2 and has done nothing."""

    def refuse(*arguments: object, stdin: str = "") -> list[str]:
        before = everything_on(desk)
        code, out, err = call(*arguments, stdin=stdin)
        assert (code, out) == (2, ""), err
        assert "Traceback" not in err
        assert SECRET not in err
        assert everything_on(desk) == before
        # Where the fault is in the command itself, click shows its usage first, three lines.
        lines = err.splitlines()
        return lines[3:] if lines[0].startswith("Usage:") else lines

    return refuse


def everything_on(desk: Desk) -> dict[str, bytes]:
    """All files; but SQLite's side files, which reading makes, and Python's own."""
    return {
        str(path.relative_to(desk.folder)): path.read_bytes() if path.is_file() else b""
        for path in desk.folder.rglob("*")
        if "__pycache__" not in path.parts and not path.name.endswith(("-wal", "-shm"))
    }


def unfinished(desk: Desk, name: str = "films.db") -> None:
    """A journal of the spider movies with one page to do, whose run was stopped."""
    with new_journal(desk / name, task("1", "index")) as journal:
        journal.finish("interrupted", time.time())


# ---------------------------------------------------------------------------------------------- the spider


@pytest.mark.parametrize("command", [("crawl", "-p", "proxies.txt"), ("try", "--direct")])
def test_a_missing_spider_is_named(refused: Refused, command: tuple[str, ...]) -> None:
    said = refused(*command, "none.py")

    assert said == ["none.py: no such file"]


@pytest.mark.parametrize("command", [("crawl", "-p", "proxies.txt", "-o", "items.jsonl"), ("try", "--direct")])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("from pinpool import Spider\nspider = Spider(\n", "2: SyntaxError: '(' was never closed"),
        ("import os\n1 / 0\n", "2: ZeroDivisionError: division by zero"),
        ("import nowhere\n", "1: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit\n", "1: the file exits while it is imported (SystemExit)"),
        ("x = 1\n", " no spider found: add  spider = Spider(seeds=[...])"),
        (GOOD.replace("])\n", "], pacee=1)\n", 1), "3: pacee: no such setting; did you mean pace?"),
        (GOOD.replace("])\n", "], pace='fast')\n", 1), "3: pace: 'fast' is not a number"),
        (
            "from pinpool import Spider\nspider = Spider(seeds=['http://a.test/'])\n",
            "2: the spider has no stage: put @spider.index above a function",
        ),
    ],
)
def test_what_is_wrong_in_a_spider_is_reported_with_its_line(
    desk: Desk, refused: Refused, command: tuple[str, ...], text: str, problem: str
) -> None:
    desk.write("films.py", text)

    said = refused(*command, "films.py")

    assert said == [f"films.py:{problem}"]


@pytest.mark.parametrize(
    "command", [("crawl", "-p", "proxies.txt"), ("try", "--direct"), ("tune", "-p", "proxies.txt")]
)
def test_all_wrong_arguments_of_a_spider_are_reported_at_once(
    desk: Desk, refused: Refused, command: tuple[str, ...]
) -> None:
    desk.write(
        "shop.py", "from pinpool import Spider\ndef spider(category: str, pages: int = 1):\n    return Spider()\n"
    )

    said = refused(*command, "shop.py", "-a", "pages=two", "-a", f"pagse={SECRET}")
    broken = refused(*command, "shop.py", "-a", "category", "-a", "=shoes")

    assert said == [
        "shop.py:2: -a pages: 'two' is not a whole number",
        "shop.py:2: -a pagse: no such argument; did you mean pages?",
        "shop.py:2: the spider needs a value for category: give it by  -a category=VALUE",
    ]
    assert broken == ["-a: 'category' is not NAME=VALUE", "-a: '' is not NAME=VALUE"]


def test_all_wrong_settings_of_a_spider_are_reported_at_once(desk: Desk, refused: Refused) -> None:
    desk.write("films.py", GOOD.replace("])\n", "], pacee=1, timeout=-1)\n", 1))

    said = refused("crawl", "films.py", "-p", "proxies.txt")

    assert [line.partition(": ")[2].partition(":")[0] for line in said] == ["pacee", "timeout"]


def test_a_spider_without_seeds_is_refused_with_the_ways_to_give_some(desk: Desk, refused: Refused) -> None:
    desk.write("films.py", SPIDER.format(seeds=""))

    for command in (("crawl", "-p", "proxies.txt"), ("try", "--direct")):
        (said,) = refused(*command, "films.py")
        assert said.startswith("films.py:3: the spider has no seeds")
        assert said.endswith("or name a file with --seeds")


def test_every_bad_seed_of_a_spider_is_reported(desk: Desk, refused: Refused) -> None:
    desk.write("films.py", SPIDER.format(seeds="'movies.test/1', 'http://movies.test/2', 'ftp://movies.test/3'"))

    for command in (("crawl", "-p", "proxies.txt"), ("try", "--direct")):
        said = refused(*command, "films.py")
        assert [line.split("'")[0] for line in said] == ["films.py:3: seed 1: ", "films.py:3: seed 3: "]
        assert all("must start with http:// or https://" in line for line in said)


@pytest.mark.parametrize("spider", ["films.pyy", "no spider at all", "nowhere.films"])
def test_what_cannot_be_a_spider_is_named(refused: Refused, spider: str) -> None:
    (said,) = refused("crawl", spider, "-p", "proxies.txt")

    assert spider in said


def test_an_unknown_stage_is_reported_with_those_that_exist(refused: Refused) -> None:
    (said,) = refused("try", "films.py", "--direct", "--stage", "reviews")

    assert "films.py has no stage reviews; it has index, detail" in said


def test_a_page_is_tried_through_a_proxy_or_directly_not_both(refused: Refused) -> None:
    (said,) = refused("try", "films.py", "--direct", "-p", "proxies.txt")

    assert "-p and --direct exclude each other" in said


# ---------------------------------------------------------------------------------------------- settings and options


def test_all_wrong_settings_of_the_command_line_are_reported_at_once(refused: Refused) -> None:
    said = refused(
        *("crawl", "films.py", "-p", "proxies.txt", "-o", "items.jsonl"),
        *("--pace", -3, "-s", "pacee=1", "-s", "attempts=many", "-s", "empty_ok=perhaps"),
    )

    assert said == [
        "pace: '-3' is not from 0 to 86400",
        "pacee: no such setting; did you mean pace?",
        "attempts: 'many' is not a number",
        "empty_ok: 'perhaps' is neither yes nor no",
    ]


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (["-s", "pace"], "'pace' is not KEY=VALUE"),
        (["--bogus"], "--bogus"),
        (["--pace", "fast"], "pace: 'fast' is not a number"),
        (["-w", "0"], "0 is not in the range x>=1"),
        (["--limit", "0"], "0 is not in the range x>=1"),
        (["--max-failures", "-1"], "-1 is not in the range x>=0"),
        (["--start-method", "teleport"], "'teleport' is not one of 'forkserver', 'spawn', 'fork'"),
    ],
)
def test_a_wrong_option_is_reported(refused: Refused, option: list[str], problem: str) -> None:
    (said,) = refused("crawl", "films.py", "-p", "proxies.txt", "-o", "items.jsonl", *option)

    assert problem in said


@pytest.mark.parametrize("command", ["crawl", "resume", "retry", "stats", "failures", "verify", "try"])
def test_a_command_without_its_argument_says_which_one(refused: Refused, command: str) -> None:
    (said,) = refused(command)

    assert "Missing argument" in said


def test_an_unknown_command_is_reported(refused: Refused) -> None:
    (said,) = refused("scrape", "films.py")

    assert "No such command 'scrape'" in said


# ---------------------------------------------------------------------------------------------- proxies


@pytest.mark.parametrize("way", ["file", "stdin", "variable"])
def test_every_bad_line_of_a_list_of_proxies_is_reported_without_its_password(
    desk: Desk, refused: Refused, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = desk.write("bad.txt", BAD_LIST)
    option = {"file": ["-p", "bad.txt"], "stdin": ["-p", "-"], "variable": []}[way]
    if way == "variable":
        monkeypatch.setenv("PINPOOL_PROXIES", str(path))
    name = {"file": "bad.txt", "stdin": "stdin", "variable": str(path)}[way]

    said = refused("crawl", "films.py", *option, "-o", "items.jsonl", stdin=BAD_LIST)

    assert said == [
        f"{name}:1: the port is not a number from 1 to 65535",
        f"{name}:3: unknown scheme; did you mean http?",
        f"{name}:5: user or password is empty; write host:port:user:password",
    ]


@pytest.mark.parametrize("command", ["crawl", "try"])
def test_a_list_without_proxies_is_reported(desk: Desk, refused: Refused, command: str) -> None:
    desk.write("empty.txt", "\n# nothing here\n")

    for name, option in (("empty.txt", "empty.txt"), ("stdin", "-")):
        (said,) = refused(command, "films.py", "-p", option)
        assert said.startswith(f"{name}: the list is empty; write one proxy per line")


@pytest.mark.parametrize("command", ["crawl", "try"])
def test_a_missing_list_is_reported(refused: Refused, command: str) -> None:
    (missing,) = refused(command, "films.py", "-p", "none.txt")
    (none,) = refused(command, "films.py")

    assert missing.startswith("none.txt: cannot read this list of proxies (No such file or directory)")
    assert all(way in none for way in ("-p FILE", "-p -", "PINPOOL_PROXIES"))


def test_a_proxy_in_place_of_the_list_is_refused_and_not_repeated(refused: Refused) -> None:
    (said,) = refused("crawl", "films.py", "-p", f"http://alice:{SECRET}@192.0.2.1:8080")

    assert "name a file" in said


def test_a_bad_entry_of_the_variable_is_reported_by_its_number(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINPOOL_PROXIES", f"192.0.2.1:8080 http://alice:{SECRET}@192.0.2.1:0")

    said = refused("crawl", "films.py")

    assert said == [
        "PINPOOL_PROXIES:2: the port is not a number from 1 to 65535",
        "PINPOOL_PROXIES: no file has this name, so it was read as the list itself",
    ]


@pytest.mark.parametrize("place", ["http://alice:{}@192.0.2.1:8080", "alice:{}@192.0.2.1:8080"])
@pytest.mark.parametrize(
    "command",
    [
        *(("crawl", "films.py", "-p", "proxies.txt", option) for option in ("-s", "-j", "--seeds")),
        *((name,) for name in ("crawl", "resume", "retry", "stats", "failures", "verify", "try")),
    ],
)
def test_a_proxy_in_a_wrong_place_is_refused_and_not_repeated(
    refused: Refused, command: tuple[str, ...], place: str
) -> None:
    tail = "/films.db" if command[-1] == "-j" else ""

    (said,) = refused(*command, place.format(SECRET) + tail)

    assert "alice" not in said


# ---------------------------------------------------------------------------------------------- the journal


def test_a_journal_below_a_file_cannot_be_written_and_no_output_is_begun(refused: Refused) -> None:
    (said,) = refused("crawl", "films.py", "-p", "proxies.txt", "-o", "items.jsonl", "-j", "proxies.txt/films.db")

    assert said.startswith("proxies.txt/films.db: cannot be written (Not a directory)")
    assert "-j" in said


@pytest.mark.parametrize("option", [[], ["--fresh"]])
def test_a_file_that_is_not_a_journal_is_left_alone(desk: Desk, refused: Refused, option: list[str]) -> None:
    desk.write("films.db", "my diary\n")

    (said,) = refused("crawl", "films.py", "-p", "proxies.txt", "-o", "items.jsonl", *option)

    assert said.startswith("films.db: is not a SQLite file")


@pytest.mark.parametrize(
    "command", [("resume", "-o", "items.jsonl"), ("retry",), ("stats",), ("failures",), ("verify",)]
)
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.db", "none.db: no such journal"),
        ("films.py", "films.py: is not a SQLite file"),
        ("empty.db", "empty.db: "),
        (".", ".: is a directory"),
    ],
)
def test_every_command_that_needs_a_journal_says_what_it_got_instead(
    desk: Desk, refused: Refused, command: tuple[str, ...], name: str, problem: str
) -> None:
    desk.write("empty.db", "")

    (said,) = refused(*command, name)

    assert said.startswith(problem)


def test_an_unfinished_run_stops_a_new_one_and_both_ways_on_are_named(desk: Desk, refused: Refused) -> None:
    """The message names the spider of that run, so that nobody resumes it by mistake."""
    unfinished(desk)

    (said,) = refused("crawl", "films.py", "-p", "proxies.txt", "-o", "items.jsonl")

    assert said.startswith("films.db: holds a run of the spider movies that is interrupted")
    assert "`pinpool resume films.db`" in said
    assert "--fresh" in said


def test_a_journal_whose_spider_has_become_another_is_not_resumed(desk: Desk, refused: Refused) -> None:
    desk.write("movies.py", GOOD.replace("])\n", "], name='books')\n", 1))
    unfinished(desk)

    (said,) = refused("resume", "films.db", "-p", "proxies.txt", "-w", 1, "-o", "items.jsonl")

    assert said.startswith("films.db: belongs to the spider movies, not books")


def test_a_journal_whose_spider_or_list_is_gone_is_not_resumed(desk: Desk, refused: Refused) -> None:
    unfinished(desk)

    (no_spider,) = refused("resume", "films.db", "-p", "proxies.txt")
    (desk / "films.py").rename(desk / "movies.py")
    (desk / "proxies.txt").rename(desk / "others.txt")
    (no_list,) = refused("resume", "films.db")

    assert no_spider.startswith("movies.py: no such file")
    assert no_list.startswith("proxies.txt: cannot read this list of proxies")


# ---------------------------------------------------------------------------------------------- outputs and seeds


@pytest.mark.parametrize("option", ["-o", "-O"])
def test_wrong_outputs_are_reported(refused: Refused, option: str) -> None:
    (kind,) = refused("crawl", "films.py", "-p", "proxies.txt", option, "items.xml")
    (folder,) = refused("crawl", "films.py", "-p", "proxies.txt", "-o", "good.jsonl", option, "none/items.csv")
    (twice,) = refused("crawl", "films.py", "-p", "proxies.txt", "-o", "items.csv", option, "./items.csv")

    assert kind.startswith(
        "output 'items.xml': its format is not known: end it in .jsonl, .json, .csv, .parquet or .sqlite"
    )
    assert "none/items.csv: cannot be written (No such file or directory)" in folder
    assert "named twice" in twice


@pytest.mark.parametrize("command", ["crawl", "tune"])
def test_every_bad_line_of_the_seeds_is_reported(desk: Desk, refused: Refused, command: str) -> None:
    text = "# films\nhttp://movies.test/1\n\nmovies.test/2\nftp://movies.test/3\n"
    desk.write("seeds.txt", text)

    from_file = refused(command, "films.py", "-p", "proxies.txt", "--seeds", "seeds.txt")
    from_stdin = refused(command, "films.py", "-p", "proxies.txt", "--seeds", "-", stdin=text)

    assert [line.partition(" ")[0] for line in from_file] == ["seeds.txt:4:", "seeds.txt:5:"]
    assert [line.partition(" ")[0] for line in from_stdin] == ["stdin:4:", "stdin:5:"]


def test_missing_seeds_are_reported(desk: Desk, refused: Refused) -> None:
    desk.write("empty.txt", "\n# none yet\n")

    (missing,) = refused("crawl", "films.py", "-p", "proxies.txt", "--seeds", "none.txt")
    (empty,) = refused("crawl", "films.py", "-p", "proxies.txt", "--seeds", "empty.txt")

    assert "--seeds: none.txt cannot be read: No such file or directory" in missing
    assert empty == "empty.txt: no seeds found: write one URL per line"


@pytest.mark.parametrize("command", ["crawl", "tune"])
def test_stdin_is_the_list_or_the_seeds_not_both(refused: Refused, command: str) -> None:
    (said,) = refused(command, "films.py", "-p", "-", "--seeds", "-", stdin="192.0.2.1:8080\n")

    assert "stdin can be the list of proxies or the seeds, not both" in said


# ---------------------------------------------------------------------------------------------- lab and demo


def test_the_lab_reports_a_port_that_is_in_use(refused: Refused) -> None:
    with Lab(pages=1, proxies=1) as other:
        port = other.url.rpartition(":")[2]
        (said,) = refused("lab", "--site-port", port, "--write-proxies", "list.txt")

    assert f"--site-port: port {port} cannot be used" in said


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (["--faults", "bann"], "unknown fault 'bann': the lab has refused, "),
        (["--faults", "ban,drip", "--proxies", "1"], "2 faults need 2 proxies, not 1"),
        (["--write-proxies", "proxies.txt/list"], "--write-proxies proxies.txt/list: cannot be written"),
        (["--site-port", "70000"], "70000 is not in the range"),
        (["--latency", "-1"], "-1.0 is not in the range"),
    ],
)
def test_wrong_options_of_the_lab_are_reported(refused: Refused, option: list[str], problem: str) -> None:
    (said,) = refused("lab", "--site-port", 0, *option)

    assert problem in said


def test_a_demo_that_cannot_keep_its_files_says_so(refused: Refused) -> None:
    (said,) = refused("demo", "--calm", "--keep", "proxies.txt/demo")

    assert "--keep proxies.txt/demo: cannot be written" in said


@pytest.mark.parametrize("option", ["--log", "--metrics"])
@pytest.mark.parametrize("name", ["proxies.txt", "films.py", "out.jsonl", "films.db"])
def test_a_log_may_not_be_one_of_the_runs_own_files(desk: Desk, call: Call, option: str, name: str) -> None:
    said = call("crawl", "films.py", "-p", "proxies.txt", "-O", "out.jsonl", option, name)

    assert said.code == 2
    assert name in said.err
    assert not (desk / "films.db").exists()
