"""`pinpool report`: the run as one page of HTML."""

import time
from pathlib import Path

import click

from pinpool.cli.options import checked_by, defaulted, journal_argument, say
from pinpool.report.cost import Price, parse_price
from pinpool.text import shown_path


@click.command(short_help="The run as one page of HTML.")
@journal_argument
@defaulted(
    "-o",
    "--output",
    default="report.html",
    metavar="FILE",
    help="Where the page goes; - is stdout. An earlier report is overwritten, no other file is.",
)
@click.option(
    "--price",
    callback=checked_by(parse_price),
    metavar="PRICE",
    help="Show costs: 2.50 is the price of one proxy for a month, 3/GB that of a gigabyte.",
)
def report(journal: Path, output: str, price: Price | None) -> None:
    """Write the run of JOURNAL as one HTML page with charts, also while it runs.

    The page needs no network and no other file. It holds no password, but the addresses of proxies and pages.

    \b
    Example:
      pinpool report movies.db -o report.html --price 2.50
    """
    from pinpool.report.html import check_page, render, write_page
    from pinpool.report.queries import read_run

    now = time.time()
    if output == "-":
        # As bytes: the page says that it is UTF-8, whatever this terminal takes.
        click.echo(render(read_run(journal, now), now, price).encode())
        return
    target = Path(output)
    check_page(target, journal)
    size = write_page(render(read_run(journal, now), now, price), target)
    say(f"{shown_path(target)}: {size / 1000:,.0f} kB; open it in a browser")
