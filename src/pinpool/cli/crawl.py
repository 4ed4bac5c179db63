"""`pinpool crawl`: scrape a site with a spider."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from pinpool.cli.options import argument_option, engine_options, files_option, new_run_options, start_method_option
from pinpool.cli.running import (
    checked_engine,
    load_spider,
    progress_and_log,
    run_to_the_end,
    running_options,
    start_workers_early,
)


@click.command(short_help="Scrape a site with a spider.")
@click.argument("spider")
@running_options
@new_run_options
@argument_option
@files_option
@engine_options()
@start_method_option
def crawl(spider: str, journal: Path | None, fresh: bool, start_method: str | None, **options: Any) -> None:
    """Scrape a site with SPIDER (a file or a module).

    \b
    Example:
      pinpool crawl movies.py -p proxies.txt -o films.jsonl
      pinpool crawl shop.py -p proxies.txt -o shoes.csv -a category=shoes
      pinpool crawl movies.py -p proxies.txt --engine inline --raise
    """
    choice = checked_engine(options, start_method)
    start_workers_early(choice)
    from pinpool.crawler import api

    with progress_and_log(options, choice) as progress:
        loaded, start = load_spider(spider, **{name: options[name] for name in ("arguments", "seeds", "proxies")})
        path = journal or Path(f"{loaded.name}.db")
        run = partial(api.crawl, loaded, journal=path, seeds=start, fresh=fresh, start_method=start_method)
        run_to_the_end(run, path, options, progress, choice)
