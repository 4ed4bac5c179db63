"""`pinpool resume`: go on with a run where it stopped."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from pinpool.cli.options import engine_options, journal_argument
from pinpool.cli.running import progress_and_log, resumed_engine, run_to_the_end, running_options


@click.command(short_help="Go on where a run stopped.")
@journal_argument
@running_options
@engine_options(None)
def resume(journal: Path, **options: Any) -> None:
    """Go on with the run in JOURNAL where it stopped, however it stopped.

    \b
    Example:
      pinpool resume movies.db -p better-proxies.txt
      pinpool resume movies.db --engine inline --raise
    """
    choice = resumed_engine(options, journal)
    from pinpool.crawler import api

    with progress_and_log(options, choice) as progress:
        run_to_the_end(partial(api.resume, journal), journal, options, progress, choice)
