"""`pinpool demo`: crawl the practice site, and compare the items with it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinpool.cli.options import ExitCode, defaulted, leave, say, site_options
from pinpool.cli.running import progress_and_log
from pinpool.errors import SettingsError
from pinpool.pool.registry import EngineChoice
from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.crawler.api import Run
    from pinpool.lab import Lab

#: A share of these goes to the demo's proxies: more than a third of the default list is bad.
DEMO_FAULTS = ("refused", "softban", "reset", "auth", "ban", "flaky", "drip", "blackhole")
SHOWN_ITEMS = 3
JOURNAL, PAGE = "movies.db", "report.html"  # in the demo's folder


@click.command(short_help="See it work, on this machine alone.")
@site_options
@defaulted("--workers", default=6, help="Worker processes.", type=click.IntRange(1))
@click.option("--calm", is_flag=True, help="Only good proxies.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep items, journal and report in it.")
def demo(pages: int, proxies: int, workers: int, calm: bool, seed: int, keep: Path | None) -> None:
    """Crawl a practice site on this machine through good and faulty proxies. Nothing leaves the machine.

    Exit code 0 only if every film was scraped right, exactly once.

    \b
    Example:
      pinpool demo --pages 10 --proxies 8 --workers 6
    """
    from pinpool.crawler.api import crawl
    from pinpool.files import storing, temporary_folder
    from pinpool.lab import Lab
    from pinpool.report.html import check_page
    from pinpool.spider.loader import load, parse_ref

    faults = [] if calm else [DEMO_FAULTS[n % len(DEMO_FAULTS)] for n in range(proxies * 3 // 8)]
    folder = keep or temporary_folder() / "demo"
    with storing(f"--keep {folder}", "name another", SettingsError):
        folder.mkdir(parents=True, exist_ok=True)
    check_page(folder / PAGE, folder / JOURNAL)
    with Lab(pages=pages, proxies=proxies, faults=faults, latency=0.02, seed=seed) as site:
        site.write_proxies(folder / "proxies.txt")
        bad = ", ".join(proxy.fault for proxy in site.proxies if proxy.fault) or "none"
        say(
            f"practice site with {counted(pages * 10, 'film')}, {counted(workers, 'worker')}, "
            f"{counted(proxies, 'proxy', 'proxies')} (faulty: {bad})"
        )
        with progress_and_log({}, EngineChoice()) as progress:
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
        _report(site, run, folder, kept=keep is not None)


def _report(site: Lab, run: Run, folder: Path, *, kept: bool) -> None:
    """Show the run, compare it with what the site really holds, and leave with 0 only if they agree."""
    from pinpool.report.html import render, write_page
    from pinpool.report.queries import read_run
    from pinpool.terminal.proxy_table import proxy_table
    from pinpool.terminal.summary import coverage_line, summary

    items = list(run.items())
    for item in items[:SHOWN_ITEMS]:
        say(f"  {item['title']}: {', '.join(item['directors'])}")
    say(f"  ... and {max(0, len(items) - SHOWN_ITEMS)} more\n")
    stats, coverage, page, now = run.stats, run.coverage, folder / PAGE, time.time()
    figures = summary(stats, run.journal, verdict=run.verdict)
    figures = figures.rpartition("\n")[0]  # without the command for a journal that may soon be gone
    say(f"{proxy_table(stats)}\n\n{figures}\n{coverage_line(coverage)}")
    write_page(render(read_run(run.journal, now), now), page)
    films = {url: (film.title, list(film.directors)) for url, film in site.films(site.named_url).items()}
    stored = Counter(item["url"] for item in items)
    wrong = sum((item["title"], item["directors"]) != films.get(item["url"]) for item in items)
    missing = len(films.keys() - stored.keys())
    twice = sum(count > 1 for count in stored.values())
    say(
        f"compared with the site: {counted(len(films) - missing - wrong, 'film')} right, {wrong} wrong, "
        f"{missing} missing, {twice} twice; {counted(site.direct, 'request')} past the proxies"
    )
    where = f"items: {folder / 'films.jsonl'}\nreport: {page}"
    say(where if kept else "all of it is removed now; `pinpool demo --keep DIR` keeps items, journal and report")
    good = coverage.complete and not (wrong or missing or twice or site.direct)
    leave(ExitCode.COMPLETE if good else ExitCode.INTERNAL)
