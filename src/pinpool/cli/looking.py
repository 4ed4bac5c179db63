"""The commands that read a journal, and nothing else: `stats`, `failures`, `verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pinpool.show import SORTS
from pinpool.wire import one_line

__all__ = ["failures", "stats", "verify"]

journal_argument = click.argument("journal", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command(short_help="How each proxy did.")
@journal_argument
@json_option
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="trouble",
    show_default=True,
    help="Which proxies come first.",
)
@click.option("--faults", is_flag=True, help="Name every fault of each proxy.")
def stats(journal: Path, as_json: bool, sort: str, faults: bool) -> None:
    """Show how each proxy did in the run of JOURNAL, also while it runs.

    \b
    Example:
      pinpool stats movies.db --sort success_rate
    """
    from pinpool.runs import document
    from pinpool.show import proxy_table, summary

    told = document(journal)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(summary(told, journal).rpartition("\n")[0])
    click.echo()
    click.echo(proxy_table(told, sort=sort, faults=faults))


@click.command(short_help="What was given up, and why.")
@journal_argument
@json_option
def failures(journal: Path, as_json: bool) -> None:
    """List the tasks of JOURNAL that were given up, each with its history.

    \b
    Example:
      pinpool failures movies.db
    """
    from pinpool.runs import Run

    listed = Run(journal).failures()
    if as_json:
        click.echo(json.dumps(listed, ensure_ascii=False))
        return
    for failure in listed:
        click.echo(f"{failure['stage']} {failure['url']}: {one_line(failure['reason'] or '')}")
        for attempt in failure["attempts"]:
            status = f" (status {attempt['status']})" if attempt["status"] else ""
            told = one_line((attempt["message"] or "").partition("\n")[0])
            click.echo(
                f"  {attempt['at']} {attempt['proxy'] or 'no proxy known'}: {attempt['fault']}{status}: {told}"
            )
    if not listed:
        click.echo("no task was given up")


@click.command(short_help="Prove that nothing is missing or double.")
@journal_argument
@json_option
def verify(journal: Path, as_json: bool) -> None:
    """Prove from JOURNAL alone that every page was done, and every item stored, exactly once.

    Exit code 0 if that is proven, 3 if not.

    \b
    Example:
      pinpool verify movies.db && echo nothing is missing
    """
    from pinpool.runs import Run
    from pinpool.show import coverage_line

    coverage = Run(journal).coverage
    if as_json:
        click.echo(json.dumps(coverage._asdict(), ensure_ascii=False))
    else:
        click.echo(coverage_line(coverage))
    if not coverage.complete:
        click.get_current_context().exit(3)
