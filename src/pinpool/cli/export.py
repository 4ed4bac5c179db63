"""`pinpool export`: the items of a journal in files."""

from pathlib import Path
from typing import Any

import click

from pinpool.cli.options import journal_argument, output_options, say, targets
from pinpool.text import counted


@click.command(short_help="Write the items to files.")
@journal_argument
@output_options
def export(journal: Path, **options: Any) -> None:
    """Write the items of JOURNAL to files, each item once, in the order in which they came; also while it runs.

    With -O the new file replaces the old one when it is whole. CSV, Parquet and SQLite have a column for each field of
    any item. Nested values become JSON text; only plain lists stay lists in Parquet. SQLite has a table for each stage.
    Parquet needs `pip install 'pinpool[parquet]'`.

    FILE:csv-safe is CSV in which no cell is a formula: an apostrophe goes before a text that a spreadsheet would run.
    FILE:csv-excel is the same with the mark by which Excel knows UTF-8.

    \b
    Example:
      pinpool export movies.db -o films.csv -o films.sqlite -O excel.csv:csv-excel
      pinpool export movies.db -o - | head
    """
    from pinpool.journal.reader import Reader
    from pinpool.output.outputs import check_targets, write_all

    outputs = targets(options)
    if not outputs:
        raise click.UsageError("name a file with -o, for instance -o items.jsonl; - is stdout")
    with Reader(journal) as reader:
        info = reader.run_info()
        inputs: dict[str, str | Path] = {"the journal": journal}
        if info.state != "complete":
            inputs |= {f"the run's own {mark.path}, and it is not complete": mark.path for mark in reader.outputs()}
        check_targets(outputs, inputs)
        for target in outputs:
            write_all(target, reader.items)
            if target.path != "-":
                say(f"{target.path}: {counted(info.items, 'item')}", err=True)
