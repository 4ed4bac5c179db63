"""The commands that read a journal, and nothing else: `stats`, `failures`, `verify`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from pinpool.terminal.proxy_table import SORTS
from pinpool.text import one_line

journal_argument = click.argument("journal", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command(short_help="How each proxy did.")
@journal_argument
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row for each proxy, all figures in it.")
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    help="Which proxies come first.  [trouble; with --json and --csv as listed]",
)
@click.option("--faults", is_flag=True, help="Tell below each proxy what went wrong, and what it cost.")
def stats(journal: Path, as_json: bool, as_csv: bool, sort: str | None, faults: bool) -> None:
    """Show how each proxy did in the run of JOURNAL, also while it runs.

    In the table, `good` is the share of attempts that were answered (gone pages too), with its 95 % interval behind
    it where few attempts leave that wide; `pages/h` is useful pages in an hour of the proxy's own work;
    `why` the commonest fault.

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
    from pinpool.crawler.api import document
    from pinpool.terminal.proxy_table import ordered, proxy_csv, proxy_table
    from pinpool.terminal.summary import summary

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    told = document(journal)
    if sort:
        told["proxies"] = ordered(told["proxies"], sort)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    elif as_csv:
        click.echo(proxy_csv(told["proxies"]).encode(), nl=False)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        click.echo(summary(told, journal).rpartition("\n")[0])
        click.echo()
        click.echo(proxy_table(told, sort=sort or "trouble", faults=faults, colour=colour))


@click.command(short_help="What was given up, and why.")
@journal_argument
@json_option
@click.option("--pages", is_flag=True, help="List the kept pages, one of each kind of failed extraction.")
@click.option("--page", "number", type=int, metavar="ID", help="Print a kept page, as it came from the site.")
def failures(journal: Path, as_json: bool, pages: bool, number: int | None) -> None:
    """List the tasks of JOURNAL that were given up, each with its history.

    The first page of each kind of failed extraction is kept, so that a selector can be mended: `page 3` behind an
    attempt names it. `pinpool try SPIDER --page JOURNAL:3` runs the spider on it.

    \b
    Example:
      pinpool failures movies.db
      pinpool failures movies.db --page 3 > page.html
    """
    if number is not None:
        if pages or as_json:
            raise click.UsageError("--page prints the page itself: leave --pages and --json out")
        _print_page(journal, number)
    elif pages:
        _list_pages(journal, as_json)
    else:
        _list_failures(journal, as_json)


def _print_page(journal: Path, number: int) -> None:
    from pinpool.journal.reader import Reader

    with Reader(journal) as reader:
        _, fetched = reader.page_sample(number)
    if sys.stdout.isatty():  # a page may hold whatever drives a terminal
        raise click.UsageError(
            f"a page is not for a terminal: add > page.html, or | less to look at page {number}"
        )
    click.echo(fetched.body, nl=False)
    cut = f" of {fetched.size:,}: the rest was not kept" if len(fetched.body) < fetched.size else ""
    click.echo(
        f"{one_line(fetched.url)}: status {fetched.status}, {len(fetched.body):,} bytes{cut}", err=True
    )


def _list_pages(journal: Path, as_json: bool) -> None:
    from pinpool.journal.reader import Reader

    with Reader(journal) as reader:
        kept = reader.page_samples()
    if as_json:
        click.echo(json.dumps([page._asdict() for page in kept], ensure_ascii=False))
        return
    for page in kept:
        click.echo(f"page {page.id}: {one_line(page.kind)}")
        click.echo(f"  {one_line(page.url)} (status {page.status}, {page.size:,} bytes)")
    click.echo(
        f"`pinpool try SPIDER --page {journal}:{kept[0].id}` tries one" if kept else "no page was kept"
    )


def _list_failures(journal: Path, as_json: bool) -> None:
    from pinpool.crawler.api import Run

    listed = Run(journal).failures()
    if as_json:
        click.echo(json.dumps(listed, ensure_ascii=False))
        return
    for failure in listed:
        click.echo(f"{failure['stage']} {one_line(failure['url'])}: {one_line(failure['reason'] or '')}")
        for attempt in failure["attempts"]:
            status = f" (status {attempt['status']})" if attempt["status"] else ""
            told = one_line((attempt["message"] or "").partition("\n")[0])
            proxy = one_line(attempt["proxy"] or "no proxy known")
            page = f" [page {attempt['page']}]" if attempt["page"] else ""
            click.echo(f"  {attempt['at']} {proxy}: {attempt['fault']}{status}: {told}{page}")
    if not listed:
        click.echo("no task was given up")
    if shown := sorted({attempt["page"] for one in listed for attempt in one["attempts"] if attempt["page"]}):
        click.echo(f"`pinpool try SPIDER --page {journal}:{shown[0]}` runs the spider on page {shown[0]}")


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
    from pinpool.crawler.api import Run
    from pinpool.terminal.summary import coverage_line

    coverage = Run(journal).coverage
    if as_json:
        click.echo(json.dumps(coverage._asdict(), ensure_ascii=False))
    else:
        click.echo(coverage_line(coverage))
    if not coverage.complete:
        click.get_current_context().exit(3)
