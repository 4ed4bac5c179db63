"""`pinpool export`: the items of a journal, in files."""

from __future__ import annotations

from pathlib import Path

import click

from pinpool.text import counted


@click.command(short_help="Write the items to files.")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "outputs",
    multiple=True,
    metavar="FILE[:FORMAT]",
    help="Append the items to FILE (jsonl, csv, parquet); - is stdout. May be given several times.",
)
@click.option(
    "-O",
    "overwrites",
    multiple=True,
    metavar="FILE[:FORMAT]",
    help="The same, but overwrite FILE.",
)
def export(journal: Path, outputs: tuple[str, ...], overwrites: tuple[str, ...]) -> None:
    """Write the items of JOURNAL to files, each item once, in the order in which they came; also while it runs.

    With -O the new file takes the place of the old one when it is whole. CSV and Parquet have a column for each
    field of any item. What is nested is JSON text in CSV; in Parquet it is too, but for plain lists. Parquet needs
    `pip install 'pinpool[parquet]'`.

    \b
    Example:
      pinpool export movies.db -o films.csv -o films.parquet
      pinpool export movies.db -o - | head
    """
    import time

    from pinpool.journal.reader import Reader
    from pinpool.output.outputs import check_targets, write_all
    from pinpool.output.target import parse_target

    targets = [*map(parse_target, outputs), *(parse_target(text, overwrite=True) for text in overwrites)]
    if not targets:
        raise click.UsageError("name a file with -o, for instance -o items.jsonl; - is stdout")
    with Reader(journal) as reader:
        info = reader.run_info(time.time())
        inputs: dict[str, str | Path] = {"the journal": journal}
        if info.state != "complete":
            inputs |= {
                f"the run's own {mark.path}, and it is not complete": mark.path for mark in reader.outputs()
            }
        check_targets(targets, inputs)
        for target in targets:
            write_all(target, reader.items)
            if target.path != "-":
                click.echo(f"{target.path}: {counted(info.items, 'item')}", err=True)
