"""`pinpool retry`: give the tasks that were given up another chance."""

from pathlib import Path

import click

from pinpool.cli.options import checked_by, journal_argument, say
from pinpool.text import counted
from pinpool.urls import clean_url


@click.command(short_help="Put back what was given up.")
@journal_argument
@click.option("--reason", metavar="TEXT", help="Only tasks whose reason or last fault says so, for instance timeout.")
@click.option("--task", "url", callback=checked_by(clean_url), metavar="URL", help="Only the task of this URL.")
def retry(journal: Path, reason: str | None, url: str | None) -> None:
    """Put the tasks of JOURNAL that were given up back; `pinpool resume` then tries them again.

    \b
    Example:
      pinpool retry movies.db --reason timeout && pinpool resume movies.db
    """
    from pinpool.journal.writer import Journal

    with Journal.open(journal) as opened:
        put_back = opened.requeue(reason=reason, url=url)
    if put_back:
        say(f"{counted(put_back, 'task is', 'tasks are')} put back; `pinpool resume {journal}` goes on")
    else:
        say(f"0 tasks are put back: {_why_none(journal, reason, url)}")


def _why_none(journal: Path, reason: str | None, url: str | None) -> str:
    """Which of the filters let no task through."""
    from pinpool.crawler.api import Run

    given_up = {failure["url"] for failure in Run(journal).failures()}
    if not given_up:
        return "no task was given up"
    of_url = f" of {url}" if url else ""
    if url and url not in given_up:
        return f"--task: no task{of_url} was given up"
    hint = f"`pinpool failures {journal}` says for what"
    return f"--reason: no task{of_url} was given up for {reason!r}; {hint}"
