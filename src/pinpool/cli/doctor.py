"""`pinpool doctor`: what would go wrong on this machine."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pinpool.cli.options import ExitCode, json_option, json_text, leave, say
from pinpool.errors import UsageError

if TYPE_CHECKING:
    from pinpool.check.row import Row

_STATE, _WHAT = 8, 18
_WIDEST = 100


@click.command(short_help="What would hinder a crawl here.")
@click.option(
    "--engine",
    type=click.Choice(["processes", "inline", "ray"]),
    default="processes",
    help="What would carry the work.  [processes]",
)
@click.option("--address", metavar="HOST:PORT", help="With --engine ray: the head of the cluster to ask.")
@json_option
def doctor(engine: str, address: str | None, as_json: bool) -> None:
    """Look at this machine: Python and packages, processes, memory, files, certificates, variables, folders, clock.

    With --engine ray also at Ray: its version, token and TLS, and with --address at the cluster: whether this machine
    can reach it, runs the same versions, and which slots its hosts offer.

    Each line says how a thing is (fine, note, warning, hinders), and below it what to do. It starts one process, and
    makes and removes a small file in this folder and in the one for temporary files. Without --address nothing is sent.

    Exit code 0 if nothing hinders a crawl, 3 if something does.

    \b
    Example:
      pinpool doctor --json
      pinpool doctor --engine ray --address 10.0.0.1:6379
    """
    from pinpool.check.doctor import checks, document, examine, hindrances, verdict
    from pinpool.pool.ray_address import endpoint

    if address is not None:
        if engine != "ray":
            raise click.BadParameter("only --engine ray has an address", param_hint="--address")
        try:
            endpoint(address)
        except UsageError as error:
            raise click.BadParameter(str(error), param_hint="--address") from None
    rows = examine(checks(engine, address))
    if as_json:
        say(json_text(document(rows)))
    else:
        # In a pipe each thing is one line.
        width = min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else None
        for row in rows:
            for line in lines(row, width):
                say(line)
        say(verdict(rows))
    if hindrances(rows):
        leave(ExitCode.INCOMPLETE)


def lines(row: Row, width: int | None) -> Iterator[str]:
    """A row in lines of at most `width` characters, what to do last."""
    head, indent = f"{row.state:{_STATE}} {row.what:{_WHAT}} ", " " * (_STATE + _WHAT + 2)
    if len(head) > len(indent):
        yield head.rstrip()
        head = indent
    yield from _wrapped(head, row.found, indent, width)
    if row.todo:
        yield from _wrapped(f"{indent}-> ", row.todo, f"{indent}   ", width)


def _wrapped(head: str, text: str, indent: str, width: int | None) -> list[str]:
    if width is None:
        return [head + text]
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, max(width, 60), initial_indent=head, subsequent_indent=indent, **options)  # type: ignore[arg-type]
