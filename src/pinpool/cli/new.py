"""`pinpool new`: a commented spider to start from, and a list of proxies beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import click

from pinpool.cli.options import say
from pinpool.errors import SettingsError

#: The example that is copied unless `--from` names one.
START = "start"
PROXIES = "proxies.txt"
#: Where `pinpool lab` is, if nobody gives it another port.
_PRACTICE_SITE = "http://movies.test:8000"
_NAME = re.compile(r"[^\W_][\w-]{0,63}")
_MARK = "# Your proxies, one a line"
#: How lists of proxies begin that hold nobody's own: ours, and that of `pinpool lab`.
_NOT_THE_USERS = (_MARK, "# The lab's proxies")
_LIST = f"""\
{_MARK}, in any of these forms:
#
#   http://user:password@192.0.2.10:8080        http, https, socks4, socks5, socks5h
#   192.0.2.11:8080                             http is the default
#   192.0.2.12:8080:user:password
#   socks5h://user-{{1..100}}:password@proxy.example.com:1080
#
# `pinpool lab --write-proxies {PROXIES}` writes those of the practice site in place of these lines.
"""


class Wanted(NamedTuple):
    """A file to write: its name, and the example that it is a copy of."""

    name: str
    ending: str
    example: str

    @property
    def file(self) -> str:
        return self.name + self.ending


@click.command(short_help="Write a spider to start from.")
@click.argument("name", required=False)
@click.option("--toml", "ending", flag_value=".toml", help="Write NAME.toml, selectors without code.")
@click.option("--python", "ending", flag_value=".py", help="Write NAME.py.  [the default]")
@click.option("--from", "example", metavar="EXAMPLE", help="Copy another one of pinpool's examples.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of TOML spiders, for editors. Write nothing.")
def new(name: str | None, ending: str | None, example: str | None, schema: bool) -> None:
    """Write a commented spider, NAME.py or NAME.toml, and a proxies.txt if there is none. Nothing is overwritten.

    The spider runs as it is against `pinpool lab`.

    \b
    Example:
      pinpool new movies --toml
      pinpool new --schema > pinpool.schema.json
    """
    if schema:
        if name or ending or example:
            raise click.UsageError("--schema writes nothing: leave the rest out")
        from pinpool.spider.toml.model import schema as schema_of_spiders

        say(json.dumps(schema_of_spiders(), indent=2))
        return
    if name is None:
        raise click.UsageError("name the spider, for example: pinpool new movies")
    from importlib.resources import files

    wanted = _wanted(name, ending, example)
    text = (files("pinpool.examples") / f"{wanted.example}{wanted.ending}").read_text(encoding="utf-8")
    _write(wanted, text)
    _show(wanted, _list_for_practice(), is_practice=_PRACTICE_SITE in text)


def _wanted(name: str, ending: str | None, example: str | None) -> Wanted:
    stem, dot, suffix = name.rpartition(".")
    if dot and f".{suffix}" in (".py", ".toml"):
        if ending is not None and ending != f".{suffix}":
            raise click.UsageError(f"the name ends in .{suffix}: leave the other kind out")
        name, ending = stem, f".{suffix}"
    if not _NAME.fullmatch(name):
        hint = "use letters, digits, _ and - only; the file is written into the current folder"
        raise click.BadParameter(f"{name[:100]!r} is not a name: {hint}", param_hint="NAME")
    found = examples()
    if example is not None and example not in found:
        raise click.BadParameter(f"no example {example!r}; there are {', '.join(found)}", param_hint="--from")
    endings = found[example or START]
    ending = ending or endings[0]
    if ending not in endings:
        raise click.BadParameter(f"{example} is there in {endings[0].removeprefix('.')} only", param_hint="--from")
    if ending == ".py":
        _check_module(name)
    return Wanted(name, ending, example or START)


def examples() -> dict[str, list[str]]:
    """pinpool's examples by name, each with the endings that it is there in, ``.py`` first."""
    from importlib.resources import files

    found: dict[str, list[str]] = {}
    for path in sorted((Path(entry.name) for entry in files("pinpool.examples").iterdir()), key=str):
        if path.suffix in (".py", ".toml") and not path.stem.startswith("_"):
            found.setdefault(path.stem, []).append(path.suffix)
    return found


def _check_module(name: str) -> None:
    from pinpool.spider.loader import stands_in_for_another

    if stands_in_for_another(str(Path.cwd() / f"{name}.py")):
        hint = f"choose another, for example {name}_spider"
        raise click.BadParameter(f"Python may take {name}.py for the module {name}: {hint}", param_hint="NAME")


def _write(wanted: Wanted, text: str) -> None:
    from pinpool.files import storing

    try:
        with storing(wanted.file, "go to a folder of your own", SettingsError):
            _write_new(wanted.file, text)
    except SettingsError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise click.BadParameter(
                f"{wanted.file} is there already: choose another name", param_hint="NAME"
            ) from None
        raise


def _write_new(name: str, text: str) -> None:
    """Write a file that is not there yet, not even as a link. Raises OSError."""
    with Path(name).open("x", encoding="utf-8") as file:
        file.write(text)


def _list_for_practice() -> tuple[str, str]:
    """
    Write `PROXIES` if it is not there. Returns what became of it, and the file for the practice proxies: another one,
    if it holds the user's own.
    """
    from pinpool.files import storing

    try:
        with storing(PROXIES, "go to a folder of your own", SettingsError):
            _write_new(PROXIES, _LIST)
        return "for your proxies", PROXIES
    except SettingsError as error:
        if not isinstance(error.__cause__, FileExistsError):
            raise
    try:
        with Path(PROXIES).open(encoding="utf-8", errors="replace") as file:
            is_the_users = not file.read(100).startswith(_NOT_THE_USERS)
    except OSError:
        is_the_users = True
    return "stays as it is", "practice-proxies.txt" if is_the_users else PROXIES


def _show(wanted: Wanted, proxies: tuple[str, str], *, is_practice: bool) -> None:
    became, practice = proxies
    practice = practice if is_practice else PROXIES
    width = max(len(wanted.file), len(PROXIES)) + 1
    say(f"{wanted.file + ':':{width}} a spider; change its seeds and selectors for your site")
    say(f"{PROXIES + ':':{width}} {became}\n")
    if is_practice:
        say("Try it on the practice site. In another terminal, in this folder:\n")
        say(f"    pinpool lab --write-proxies {practice}\n")
        say("Then here:\n")
    say(f"    pinpool try {wanted.file} -p {practice}")
    say(f"    pinpool crawl {wanted.file} -p {practice} -o {wanted.name}.jsonl")
