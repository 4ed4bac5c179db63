"""`pinpool tune`: how many workers a list of proxies can feed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pinpool.tuning import Row

__all__ = ["tune"]

#: What may be asked otherwise than it was recorded.
_POLICY = ("pace", "attempts", "swap_after", "cooling")
_MOST = 10_000


def _sizes(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """Numbers of workers with commas between them."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",") if part.strip()]
    wrong = [part for part in parts if not (part.isascii() and part.isdigit() and 0 < int(part) <= _MOST)]
    if wrong or not parts:
        named = ", ".join(map(repr, wrong)) or repr(value)
        raise click.BadParameter(f"{named}: give numbers of workers from 1 to {_MOST}, for instance 2,4,8")
    return sorted({int(part) for part in parts})


@click.command(short_help="How many workers the list can feed.")
@click.option(
    "--from",
    "journal",
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN.db",
    help="Learn from the run in this journal; nothing is fetched.",
)
@click.option("--sizes", callback=_sizes, metavar="2,4,8", help="Numbers of workers to look at.")
@click.option(
    "--proxies",
    type=click.IntRange(1, _MOST),
    metavar="N",
    help="As if the list had N proxies.  [those of the run]",
)
@click.option(
    "--pages",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="As if the job had N pages.  [those of the run]",
)
@click.option("--pace", metavar="S", help="As if crawled with this --pace.")
@click.option("--attempts", metavar="N", help="As if crawled with these --attempts.")
@click.option("--swap-after", metavar="N", help="As if crawled with this --swap-after.")
@click.option("--cooling", metavar="S", help="As if the first rest of a faulted proxy were so long.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same figures.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a plot to FILE."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tune(
    journal: Path,
    sizes: Sequence[int] | None,
    proxies: int | None,
    pages: int | None,
    seed: int,
    svg: Path | None,
    as_json: bool,
    **policy: str | None,
) -> None:
    """Tell how fast the run of a journal would be with other numbers of workers and proxies, and what to take.

    The crawl is simulated with the latencies, faults and deaths that were recorded, and with the rules of the real one.

    \b
    Example:
      pinpool tune --from movies.db --proxies 100 --pages 55000
    """
    from pinpool.forecast import default_sizes, foretell, learn, spares_to_hold
    from pinpool.settings import settings_from
    from pinpool.tuning import advise

    changed = {name: policy[name] for name in _POLICY if policy[name] is not None}
    settings_from(changed)  # a wrong value is told before anything is read
    recording = learn(journal)
    for note in recording.notes:
        click.echo(note, err=True)
    settings = settings_from(changed, recording.settings)
    listed = proxies or recording.proxies
    job = recording.job(pages)
    rows = foretell(
        recording,
        sizes or default_sizes(listed, recording.workers if proxies is None else 1),
        proxies=listed,
        job=job,
        settings=settings,
        seed=seed,
        tell=lambda size: _progress(f"simulating {size} workers"),
    )
    _progress("looking for the number of spares")
    spares = spares_to_hold(recording, advise(rows).workers, job=job, settings=settings, seed=seed)
    _progress("")
    show(rows, proxies=listed, pages=job.pages, spares=spares, svg=svg, as_json=as_json)


def _progress(text: str) -> None:
    """One line that the next one overwrites; nothing off a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r{text:<40}\r{text}", err=True, nl=False)


def show(
    rows: Sequence[Row],
    *,
    proxies: int,
    pages: int | None,
    spares: int | None,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Print the rows as a table with the advice, or as JSON, and write the plot."""
    from pinpool.tunetable import plot, table
    from pinpool.tuning import tune_document

    told = tune_document(rows, proxies=proxies, pages=pages, spares_to_hold=spares)
    if svg is not None:
        try:
            svg.write_text(plot(rows, told["recommended"]), encoding="utf-8")
        except OSError as error:
            hint = f"{svg} cannot be written: {error.strerror}; name another"
            raise click.BadParameter(hint, param_hint="--svg") from None
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    blocks = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    size = "" if pages is None else f", {pages} pages"
    click.echo(f"{proxies} proxies{size}")
    click.echo(table(rows, told["recommended"], blocks=blocks))
    click.echo(f"take {told['recommended']} workers: {told['why']}")
    if spares:
        click.echo(f"for the list to last in 95 of 100 crawls, hold {spares} spares beside their proxies")
