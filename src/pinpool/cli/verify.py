"""`pinpool verify`: whether the run is proven complete."""

from pathlib import Path

import click

from pinpool.cli.options import ExitCode, journal_argument, json_option, json_text, leave, say


@click.command(short_help="Prove that nothing is missing or double.")
@journal_argument
@json_option
@click.option("--hashes", is_flag=True, help="Read every downloaded file, and compare its hash.")
def verify(journal: Path, as_json: bool, hashes: bool) -> None:
    """Prove from JOURNAL alone that every page was done, and every item stored, exactly once.

    Downloaded files must be in their folder, with the right sizes.

    Exit code 0 if that is proven, 3 if not.

    \b
    Example:
      pinpool verify movies.db && echo nothing is missing
    """
    from pinpool.crawler.api import Run
    from pinpool.terminal.summary import coverage_line

    coverage = Run(journal).checked(hashes=hashes)
    say(json_text(coverage._asdict()) if as_json else coverage_line(coverage))
    leave(ExitCode.COMPLETE if coverage.complete else ExitCode.INCOMPLETE)
