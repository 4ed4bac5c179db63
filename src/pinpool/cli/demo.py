"""The practice site: `pinpool demo` crawls it and compares, `pinpool lab` keeps it running until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpool.cli.crawl import progress_and_log
from pinpool.cli.options import ExitCode, defaulted, leave, together
from pinpool.errors import SettingsError
from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.crawler.api import Run
    from pinpool.lab import Lab

#: A share of these goes to the demo's proxies: more than a third of the default list is bad.
DEMO_FAULTS = ("refused", "softban", "reset", "auth", "ban", "flaky", "drip", "blackhole")
SHOWN_ITEMS = 3
JOURNAL, PAGE = "movies.db", "report.html"  # in the demo's folder

site_options = together(
    defaulted("--pages", default=10, help="List pages, of ten films each.", type=click.IntRange(1, 5000)),
    defaulted("--proxies", default=8, help="Practice proxies.", type=click.IntRange(1, 500)),
    defaulted("--seed", default=1, help="The same seed gives the same site and faults."),
)


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
    from pinpool.files import storing
    from pinpool.lab import Lab
    from pinpool.report.html import check_page
    from pinpool.spider.loader import load, parse_ref

    faults = [] if calm else [DEMO_FAULTS[n % len(DEMO_FAULTS)] for n in range(proxies * 3 // 8)]
    folder = keep or Path(tempfile.mkdtemp(prefix="pinpool-demo-"))
    with storing(f"--keep {folder}", "name another", SettingsError):
        folder.mkdir(parents=True, exist_ok=True)
    check_page(folder / PAGE, folder / JOURNAL)
    with Lab(pages=pages, proxies=proxies, faults=faults, latency=0.02, seed=seed) as site:
        site.write_proxies(folder / "proxies.txt")
        bad = ", ".join(proxy.fault for proxy in site.proxies if proxy.fault) or "none"
        click.echo(
            f"practice site with {counted(pages * 10, 'film')}, {counted(workers, 'worker')}, "
            f"{counted(proxies, 'proxy', 'proxies')} (faulty: {bad})"
        )
        with progress_and_log({}) as progress:
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
        _report(site, run, folder)


def _report(site: Lab, run: Run, folder: Path) -> None:
    """Show the run, compare it with what the site really holds, and leave with 0 only if they agree."""
    from pinpool.report.html import render, write_page
    from pinpool.report.queries import read_run
    from pinpool.terminal.proxy_table import proxy_table
    from pinpool.terminal.summary import coverage_line, summary

    items = list(run.items())
    for item in items[:SHOWN_ITEMS]:
        click.echo(f"  {item['title']}: {', '.join(item['directors'])}")
    click.echo(f"  ... and {max(0, len(items) - SHOWN_ITEMS)} more\n")
    stats, coverage, page, now = run.stats, run.coverage, folder / PAGE, time.time()
    click.echo(f"{proxy_table(stats)}\n\n{summary(stats, run.journal)}\n{coverage_line(coverage)}")
    write_page(render(read_run(run.journal, now), now), page)
    films = {url: (film.title, list(film.directors)) for url, film in site.films(site.named_url).items()}
    stored = Counter(item["url"] for item in items)
    wrong = sum((item["title"], item["directors"]) != films.get(item["url"]) for item in items)
    missing = len(films.keys() - stored.keys())
    twice = sum(count > 1 for count in stored.values())
    click.echo(
        f"compared with the site: {counted(len(films) - missing - wrong, 'film')} right, {wrong} wrong, "
        f"{missing} missing, {twice} twice; {counted(site.direct, 'request')} past the proxies"
    )
    click.echo(f"items: {folder / 'films.jsonl'}\nreport: {page}")
    good = coverage.complete and not (wrong or missing or twice or site.direct)
    leave(ExitCode.COMPLETE if good else ExitCode.INTERNAL)


@click.command(short_help="A practice site and proxies to try on.")
@defaulted("--site-port", default=8000, help="0 takes any free port.", type=click.IntRange(0, 65535))
@site_options
@click.option(
    "--faults",
    default="",
    metavar="LIST",
    help="refused,blackhole,auth,ban,drip,reset,softban,flaky: one proxy each.",
)
@defaulted(
    "--latency", default=0, help="Milliseconds for each answer.", type=click.FloatRange(0), metavar="MS"
)
@defaulted(
    "--dying",
    default=0,
    help="Share of the proxies that dies for good each minute, 0.2 for instance.",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
)
@click.option(
    "--write-proxies",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the list of proxies to this file.",
)
def lab(faults: str, latency: float, write_proxies: Path | None, **options: Any) -> None:
    """Keep the practice site and its proxies running until Ctrl-C, to try a spider on.

    \b
    Example:
      pinpool lab --proxies 8 --faults refused,ban --write-proxies proxies.txt
    """
    from pinpool.files import storing
    from pinpool.lab import Lab

    try:
        wanted = [fault.strip() for fault in faults.split(",") if fault.strip()]
        site = Lab(faults=wanted, latency=latency / 1000, **options)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        site.start()
    except OSError as error:
        hint = f"port {options['site_port']} cannot be used: {error.strerror}; choose another, or 0 for any free one"
        raise click.BadParameter(hint, param_hint="--site-port") from None
    try:
        if write_proxies is not None:
            with storing(f"--write-proxies {write_proxies}", "name another", SettingsError):
                site.write_proxies(write_proxies)
        click.echo(f"site: {site.url}/page/1 (through its proxies also {site.named_url}/page/1)")
        for proxy in site.proxies:
            click.echo(f"proxy: {proxy.label}" + (f"  {proxy.fault}" if proxy.fault else ""))
        if write_proxies is not None:
            click.echo(f"list with passwords: {write_proxies}")
        click.echo("Ctrl-C ends it", err=True)
        sys.stdout.flush()
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("", err=True)
    finally:
        site.stop()
