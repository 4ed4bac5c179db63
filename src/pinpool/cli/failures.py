"""`pinpool failures`: what was given up, and the page samples."""

import sys
from pathlib import Path

import click

from pinpool.cli.options import journal_argument, json_option, json_text, say
from pinpool.text import counted, one_line


@click.command(short_help="What was given up, and why.")
@journal_argument
@json_option
@click.option("--pages", is_flag=True, help="List the page samples, one of each kind of failed extraction.")
@click.option("--page", "number", type=int, metavar="ID", help="Print a page sample, as it came from the site.")
def failures(journal: Path, as_json: bool, pages: bool, number: int | None) -> None:
    """List the tasks of JOURNAL that were given up, each with its history.

    The first page of each kind of failed extraction is kept, so that you can mend the selector: `page 3` behind an
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
    if sys.stdout.isatty():  # a page may hold control sequences
        raise click.UsageError(f"a page is not for a terminal: add > page.html, or | less to look at page {number}")
    click.echo(fetched.body, nl=False)
    cut = f" of {fetched.size:,}: the rest was not kept" if len(fetched.body) < fetched.size else ""
    say(
        f"{one_line(fetched.url)}: status {fetched.status}, {counted(len(fetched.body), 'byte')}{cut}",
        err=True,
    )


def _list_pages(journal: Path, as_json: bool) -> None:
    from pinpool.journal.reader import Reader

    with Reader(journal) as reader:
        samples = reader.page_samples()
    if as_json:
        say(json_text([page._asdict() for page in samples]))
        return
    for page in samples:
        say(f"page {page.id}: {one_line(page.kind)}")
        say(f"  {one_line(page.url)} (status {page.status}, {counted(page.size, 'byte')})")
    if samples:
        say(f"`pinpool try SPIDER --page {journal}:{samples[0].id}` tries one")
    else:
        say("no page was kept")


def _list_failures(journal: Path, as_json: bool) -> None:
    from pinpool.crawler.api import Run
    from pinpool.policy.faults import FAULTS

    listed = Run(journal).failures()
    if as_json:
        say(json_text(listed))
        return
    for failure in listed:
        say(f"{failure['stage']} {one_line(failure['url'])}: {one_line(failure['reason'] or '')}")
        for attempt in failure["attempts"]:
            status = f" (status {attempt['status']})" if attempt["status"] else ""
            message = one_line((attempt["message"] or "").partition("\n")[0])
            proxy = one_line(attempt["proxy"] or "no proxy known")
            page = f" [page {attempt['page']}]" if attempt["page"] else ""
            say(f"  {attempt['at']} {proxy}: {attempt['fault']}{status}: {message}{page}")
    met = {attempt["fault"] for failure in listed for attempt in failure["attempts"]}
    for fault, rule in FAULTS.items():
        if fault in met:
            say(f"{fault}: {rule.words}")
    if not listed:
        say("; ".join(["no task was given up", *Run(journal).found.problems()]))
    samples = {attempt["page"] for failure in listed for attempt in failure["attempts"] if attempt["page"]}
    if samples:
        first = min(samples)
        say(f"`pinpool try SPIDER --page {journal}:{first}` runs the spider on page {first}")
