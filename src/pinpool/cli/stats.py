"""`pinpool stats`: how each proxy did."""

import os
import sys
from pathlib import Path

import click

from pinpool.cli.options import journal_argument, json_option, json_text, say


def _sort_keys(context: click.Context, option: click.Parameter, start: str) -> list[str]:
    # Not a click.Choice: to import the table would make `pinpool --help` slow.
    from pinpool.terminal.proxy_table import SORTS

    return [key for key in SORTS if key.startswith(start)]


@click.command(short_help="How each proxy did.")
@journal_argument
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row for each proxy, all figures in it.")
@click.option(
    "--sort",
    shell_complete=_sort_keys,
    metavar="KEY",
    help="Which proxies come first.  [trouble; with --json and --csv as listed]",
)
@click.option("--faults", is_flag=True, help="Show below each proxy what went wrong, and what it cost.")
def stats(journal: Path, as_json: bool, as_csv: bool, sort: str | None, faults: bool) -> None:
    """Show how each proxy did in the run of JOURNAL, also while it runs.

    In the table, `good` is the share of attempts that were answered (gone pages too), followed by its 95 % interval
    if few attempts leave that wide; `pages/h` is useful pages in an hour of the proxy's own work; `why` is the
    commonest fault.

    \b
    Sort keys, the first ones shown first:
      trouble         retired, then resting, then by failures
      success_rate    lowest; by what the rate may be at best, so sure ones first
      failed attempts latency bytes wasted busy
                      the most: wasted is bytes of failures, busy its working time
      pages_per_hour  the fewest
      proxy           by name

    \b
    Example:
      pinpool stats movies.db --sort success_rate --faults
    """
    from pinpool.crawler.api import Run
    from pinpool.terminal.proxy_table import SORTS, ordered, proxy_csv, proxy_table
    from pinpool.terminal.summary import summary

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if sort is not None and sort not in SORTS:
        raise click.BadParameter(f"{sort!r} is not one of {', '.join(SORTS)}", param_hint="--sort")
    run = Run(journal)
    document = run.stats
    if sort:
        document["proxies"] = ordered(document["proxies"], sort)
    if as_json:
        say(json_text(document))
    elif as_csv:
        click.echo(proxy_csv(document["proxies"]).encode(), nl=False)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        say(summary(document, journal, verdict=run.verdict).rpartition("\n")[0])
        say()
        click.echo(proxy_table(document, sort=sort or "trouble", faults=faults, colour=colour))
