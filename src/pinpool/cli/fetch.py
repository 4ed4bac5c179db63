"""`pinpool fetch`: download a list of files."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from pinpool.cli.options import engine_options, files_option, fresh_option, journal_option, start_method_option
from pinpool.cli.running import (
    checked_engine,
    progress_and_log,
    run_to_the_end,
    running_options,
    start_workers_early,
)


@click.command(short_help="Download a list of files.")
@click.argument("urls")
@files_option
@running_options
@journal_option("<urls>.db")
@fresh_option
@engine_options()
@start_method_option
def fetch(urls: str, journal: Path | None, fresh: bool, start_method: str | None, **options: Any) -> None:
    """Download all files of URLS, a file with one URL a line (- is stdin). A name for the file may follow, after a tab.

    What stops it can be gone on with: `pinpool resume` asks for the rest of a half file, where the site allows it.

    \b
    Example:
      pinpool fetch reports.txt -p proxies.txt -d reports -o reports.jsonl
    """
    choice = checked_engine(options, start_method)
    start_workers_early(choice)
    from pinpool.crawler import api
    from pinpool.spider.file_list import spider
    from pinpool.spider.seeds import read_files

    if urls == "-" and options["proxies"] == "-":
        raise click.UsageError("stdin can be the list of proxies or the URLs, not both")
    with progress_and_log(options, choice) as progress:
        tasks = read_files(urls)
        path = journal or Path("fetch.db" if urls == "-" else f"{Path(urls).stem}.db")
        run = partial(api.crawl, spider, journal=path, seeds=tasks, fresh=fresh, start_method=start_method)
        run_to_the_end(run, path, options, progress, choice)
