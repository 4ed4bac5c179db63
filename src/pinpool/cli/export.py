"""`pinpool export`: the items of a journal in files. `pinpool report`: the run as one page of HTML."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from pinpool.cli.options import checked_by, defaulted, journal_argument, output_options, targets
from pinpool.report.cost import Price, parse_price
from pinpool.text import counted, shown_path


@click.command(short_help="Write the items to files.")
@journal_argument
@output_options
def export(journal: Path, **options: Any) -> None:
    """Write the items of JOURNAL to files, each item once, in the order in which they came; also while it runs.

    With -O the new file replaces the old one when it is whole. CSV and Parquet have a column for each field of any
    item. Nested values become JSON text; only plain lists stay lists in Parquet. Parquet needs
    `pip install 'pinpool[parquet]'`.

    \b
    Example:
      pinpool export movies.db -o films.csv -o films.parquet
      pinpool export movies.db -o - | head
    """
    from pinpool.journal.reader import Reader
    from pinpool.output.outputs import check_targets, write_all

    outputs = targets(options)
    if not outputs:
        raise click.UsageError("name a file with -o, for instance -o items.jsonl; - is stdout")
    with Reader(journal) as reader:
        info = reader.run_info(time.time())
        inputs: dict[str, str | Path] = {"the journal": journal}
        if info.state != "complete":
            inputs |= {
                f"the run's own {mark.path}, and it is not complete": mark.path for mark in reader.outputs()
            }
        check_targets(outputs, inputs)
        for target in outputs:
            write_all(target, reader.items)
            if target.path != "-":
                click.echo(f"{target.path}: {counted(info.items, 'item')}", err=True)


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
    click.echo(f"{shown_path(target)}: {size / 1000:,.0f} kB; open it in a browser")
