"""Help, shell completion and the version: nothing heavy is loaded for them."""

from __future__ import annotations

from commands import Desk

COMMANDS = [
    "crawl",
    "fetch",
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
    "doctor",
    "guide",
]
HEAVY = {
    "requests",
    "urllib3",
    "lxml",
    "rich",
    "parsel",
    "w3lib",
    "sqlite3",
    "socks",
    "multiprocessing",
    "jinja2",
}


def test_every_help_has_an_example_and_loads_nothing_heavy(desk: Desk) -> None:
    program = (
        "import sys\n"
        "from pinpool.cli.app import app\n"
        f"for words in [], *([name] for name in {COMMANDS}):\n"
        "    app.main([*words, '--help'], 'pinpool', standalone_mode=False)\n"
        f"print(sorted({HEAVY} & sys.modules.keys()), file=sys.stderr)\n"
    )

    code, out, err = desk.start_python("-c", program).end()

    first, *helps = out.split("Usage: ")[1:]
    assert (code, err) == (0, "[]\n")
    assert [text.split()[1] for text in helps] == COMMANDS
    assert "`pinpool demo`" in first
    assert all(f"Example:\n    pinpool {name} " in text for name, text in zip(COMMANDS, helps, strict=True))


def test_the_shell_completes_commands(desk: Desk) -> None:
    script = desk.run(_PINPOOL_COMPLETE="bash_source")
    choice = desk.run(_PINPOOL_COMPLETE="bash_complete", COMP_WORDS="pinpool cr", COMP_CWORD="1")

    assert "complete -o nosort -F _pinpool_completion pinpool" in script.out
    assert choice.out == "plain,crawl\n"


def test_the_version_is_printed(desk: Desk) -> None:
    assert desk.run("--version").out.startswith("pinpool 0.")
