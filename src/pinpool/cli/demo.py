"""`pinpool demo`: a crawl of the practice site, compared with what the site holds."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpool.cli.exit_codes import ExitCode, leave
from pinpool.cli.options import defaulted, site_options, writing
from pinpool.cli.running import progress_and_log
from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.crawler.api import Run
    from pinpool.lab import Film, Lab

#: A share of these goes to the demo's proxies: more than a third of the default list is bad.
DEMO_FAULTS = ("refused", "softban", "reset", "auth", "ban", "flaky", "drip", "blackhole")
SHOWN_ITEMS = 3
JOURNAL, PAGE = "movies.db", "report.html"  # in the demo's folder


@click.command(short_help="See it work, on this machine alone.")
@site_options
@defaulted("--workers", default=6, help="Worker processes.", type=click.IntRange(1))
@click.option("--calm", is_flag=True, help="Only good proxies.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep journal and items in this folder."
)
def demo(pages: int, proxies: int, workers: int, calm: bool, seed: int, keep: Path | None) -> None:
    """Crawl a practice site on this machine through good and faulty proxies. Nothing leaves the machine.

    Exit code 0 only if every film was scraped right, exactly once.

    \b
    Example:
      pinpool demo --pages 10 --proxies 8 --workers 6
    """
    from pinpool.crawler.api import crawl
    from pinpool.lab import Lab
    from pinpool.report.html import check_page
    from pinpool.spider.loader import load
    from pinpool.spider.ref import parse_ref

    faults = [] if calm else [DEMO_FAULTS[n % len(DEMO_FAULTS)] for n in range(proxies * 3 // 8)]
    with ExitStack() as stack:
        folder = keep or Path(tempfile.mkdtemp(prefix="pinpool-demo-"))
        with writing(folder, "--keep"):
            folder.mkdir(parents=True, exist_ok=True)
        check_page(folder / PAGE, folder / JOURNAL)
        site = stack.enter_context(Lab(pages=pages, proxies=proxies, faults=faults, latency=0.02, seed=seed))
        site.write_proxies(folder / "proxies.txt")
        bad = ", ".join(proxy.fault for proxy in site.proxies if proxy.fault) or "none"
        click.echo(
            f"practice site with {counted(pages * 10, 'film')}, {counted(workers, 'worker')}, "
            f"{counted(proxies, 'proxy', 'proxies')} (faulty: {bad})"
        )
        progress = stack.enter_context(progress_and_log({}))
        run = crawl(
            load(parse_ref("pinpool.examples.movies")),
            folder / "proxies.txt",
            workers=workers,
            journal=folder / JOURNAL,
            outputs=[f"{folder / 'films.jsonl'}"],
            seeds=[f"{site.named_url}/page/{n}" for n in range(1, pages + 1)],
            fresh=True,
            watch=progress,
            # Practice proxies recover soon, and a demonstration must not wait for half a minute.
            cooling=2.0,
            timeout=3.0,
            deadline=8.0,
        )
        progress.close()
        _report(site, run, folder)


def _report(site: Lab, run: Run, folder: Path) -> None:
    """Show the run, compare it with what the site really holds, and leave with 0 only if they agree."""
    from pinpool.report.html import render, write_page
    from pinpool.report.queries import read_run
    from pinpool.terminal.proxy_table import proxy_table
    from pinpool.terminal.summary import coverage_line, summary

    films, items = site.films(site.named_url), list(run.items())
    for item in items[:SHOWN_ITEMS]:
        click.echo(f"  {item['title']}: {', '.join(item['directors'])}")
    click.echo(f"  ... and {max(0, len(items) - SHOWN_ITEMS)} more\n")
    stats, coverage, page, now = run.stats, run.coverage, folder / PAGE, time.time()
    click.echo(f"{proxy_table(stats)}\n\n{summary(stats, run.journal)}\n{coverage_line(coverage)}")
    write_page(render(read_run(run.journal, now), now), page)
    stored = Counter(item["url"] for item in items)
    wrong = sum(not _is_right(item, films.get(item["url"])) for item in items)
    missing = len(films.keys() - stored.keys())
    twice = sum(count > 1 for count in stored.values())
    click.echo(
        f"compared with the site: {counted(len(films) - missing - wrong, 'film')} right, {wrong} wrong, "
        f"{missing} missing, {twice} twice; {counted(site.direct, 'request')} past the proxies"
    )
    click.echo(f"items: {folder / 'films.jsonl'}\nreport: {page}")
    good = coverage.complete and not (wrong or missing or twice or site.direct)
    leave(ExitCode.COMPLETE if good else ExitCode.INTERNAL)


def _is_right(item: dict[str, Any], film: Film | None) -> bool:
    return film is not None and (item["title"], item["directors"]) == (film.title, list(film.directors))
