"""`pinpool retry`."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["retry"]


@click.command(short_help="Put back what was given up.")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option(
    "--reason", metavar="TEXT", help="Only tasks whose reason or last fault says so, for instance timeout."
)
@click.option("--task", "url", metavar="URL", help="Only the task of this URL.")
def retry(journal: Path, reason: str | None, url: str | None) -> None:
    """Put the tasks of JOURNAL that were given up back; `pinpool resume` then tries them again.

    \b
    Example:
      pinpool retry movies.db --reason timeout && pinpool resume movies.db
    """
    from pinpool.journal import Journal

    with Journal.open(journal) as opened:
        put_back = opened.requeue(reason=reason, url=url)
    click.echo(
        f"{put_back} tasks are put back" + (f"; `pinpool resume {journal}` tries them" if put_back else "")
    )
