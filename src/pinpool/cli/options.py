"""What commands share: arguments, options and their checks, and the exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from pinpool.errors import SettingsError
from pinpool.pool.registry import DEFAULT_ENGINE, ENGINES
from pinpool.settings import SETTINGS, default_text
from pinpool.text import shown_path, visible

if TYPE_CHECKING:
    from pinpool.output.target import Target

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class ExitCode(IntEnum):
    COMPLETE = 0
    INTERNAL = 1
    USAGE = 2
    INCOMPLETE = 3  # it is over, but something failed, or is missing
    NO_PROXY = 4
    INTERRUPTED = 130


def leave(code: ExitCode) -> NoReturn:
    """End the command with this code."""
    click.get_current_context().exit(code)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in help in this order."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def defaulted(*names: str, default: object, help: str, **more: Any) -> Callable[[F], F]:
    """An option whose help ends with its default."""
    return click.option(*names, default=default, help=f"{help}  [{default}]", **more)


def checked_by(check: Callable[[str], object]) -> Callable[..., object]:
    """A click callback: what `check` makes of a value, or its ValueError as a message about the option."""

    def callback(context: click.Context, parameter: click.Parameter, value: str | None) -> object:
        try:
            return None if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def setting_options(*names: str, defaults: bool = True) -> Callable[[F], F]:
    """
    An option for each of these settings, and ``-s`` for all others.

    `defaults` shows the defaults in help. The values stay texts: `settings_from` checks them, all at once.
    """
    options: list[Callable[[F], F]] = []
    for name in names:
        text, option = SETTINGS[name]["help"], "--" + name.replace("_", "-")
        help = f"{text[0].upper()}{text[1:]}." + (f"  [{default_text(name)}]" if defaults else "")
        options.append(click.option(option, metavar=SETTINGS[name]["metavar"], help=help))
    others = click.option("-s", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting of the spider.")
    return together(*options, others)


journal_argument = click.argument("journal", type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress, and only errors of the log.")
argument_option = click.option(
    "-a", "arguments", multiple=True, metavar="NAME=VALUE", help="An argument of the spider; `resume` remembers it."
)
output_options = together(
    click.option(
        "-o",
        "outputs",
        multiple=True,
        metavar="FILE[:FORMAT]",
        help="Append the items to FILE (jsonl, json, csv, csv-safe, csv-excel, parquet, sqlite); - is stdout. All but"
        " jsonl are written at the end.",
    ),
    click.option("-O", "overwrites", multiple=True, metavar="FILE[:FORMAT]", help="The same, but overwrite FILE."),
)


def journal_option(default: str) -> Callable[[F], F]:
    """The journal of a new run."""
    return click.option("-j", "--journal", type=PATH, help=f"Journal of the run.  [{default}]")


fresh_option = click.option("--fresh", is_flag=True, help="Keep an earlier journal under another name and start again.")
start_method_option = click.option(
    "--start-method", type=click.Choice(["forkserver", "spawn", "fork"]), help="How workers start."
)


def engine_options(default: str | None = DEFAULT_ENGINE) -> Callable[[F], F]:
    """What carries the workers. Without a default it is what carried them before."""
    text = f"What runs workers.  [{default or 'that of the last start'}]"
    return together(
        click.option("--engine", type=click.Choice([*ENGINES]), default=default, help=text),
        click.option("--raise", "raises", is_flag=True, help="(inline) Let exceptions of the spider through."),
        click.option("--address", metavar="ADDRESS", help="(ray) Address of the cluster; without it a local one."),
    )


#: Of commands that start a run.
new_run_options = together(
    journal_option("<spider>.db"),
    click.option(
        "--seeds", metavar="FILE", help="URLs to start from, one a line, instead of the spider's; - is stdin."
    ),
    fresh_option,
)
files_option = click.option(
    "-d",
    "--files",
    metavar="DIR",
    # Where the user stands, also for a resume from elsewhere. The setting is relative to the journal.
    callback=lambda context, parameter, value: value and os.path.abspath(value),  # noqa: PTH100  links stay
    help="Folder for downloaded files.  [<journal>.files]",
)


def given_settings(options: Mapping[str, Any]) -> dict[str, object]:
    """The settings among a command's options, not checked. Raises SettingsError for what is not ``KEY=VALUE``."""
    given = {name: options[name] for name in SETTINGS if options.get(name) is not None}
    split = [(text, *text.partition("=")) for text in options["settings"]]
    if wrong := [text for text, name, equals, _ in split if not equals or not name.strip().isidentifier()]:
        raise SettingsError([f"-s: {shown_path(text)!r} is not KEY=VALUE" for text in wrong])
    return given | {name.strip(): value for _, name, _, value in split}


def targets(options: Mapping[str, Any]) -> list[Target]:
    """What `output_options` name. Raises SettingsError."""
    from pinpool.output.target import parse_target

    return [
        *(parse_target(text) for text in options["outputs"]),
        *(parse_target(text, overwrite=True) for text in options["overwrites"]),
    ]


def json_text(document: object) -> str:
    """What ``--json`` prints."""
    return visible(json.dumps(document, ensure_ascii=False))


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines for people. Nothing in them, whoever wrote it, controls a terminal."""
    shown = visible(text)
    try:
        click.echo(shown, err=err)
    except UnicodeEncodeError as error:  # a terminal that lacks letters of the page
        click.echo(shown.encode(error.encoding, "backslashreplace").decode(error.encoding), err=err)


site_options = together(
    defaulted("--pages", default=10, help="List pages, of ten films each.", type=click.IntRange(1, 5000)),
    defaulted("--proxies", default=8, help="Practice proxies.", type=click.IntRange(1, 500)),
    defaulted("--seed", default=1, help="The same seed gives the same site and faults."),
)
