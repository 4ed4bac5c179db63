"""`pinpool demo` and `pinpool lab`: the practice site and its proxies."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.crawler.api import Run
    from pinpool.lab import Lab

#: A share of these goes to the demo's proxies: more than a third of the default list is bad.
DEMO_FAULTS = ("refused", "softban", "reset", "auth", "ban", "flaky", "drip", "blackhole")
SHOWN_ITEMS = 3
JOURNAL, PAGE = "movies.db", "report.html"  # in the demo's folder


@click.command(short_help="See it work, on this machine alone.")
@click.option(
    "--pages",
    type=click.IntRange(1, 5000),
    default=10,
    show_default=True,
    help="List pages, of ten films each.",
)
@click.option("--proxies", type=click.IntRange(1, 500), default=8, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=6, show_default=True)
@click.option("--calm", is_flag=True, help="Only good proxies.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same site and faults."
)
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
    from pinpool.terminal.log_output import listening
    from pinpool.terminal.progress import Progress

    faults = [] if calm else [DEMO_FAULTS[n % len(DEMO_FAULTS)] for n in range(proxies * 3 // 8)]
    with ExitStack() as stack:
        if keep is None:
            folder = Path(tempfile.mkdtemp(prefix="pinpool-demo-"))
        else:
            folder = keep
            _write(folder, "--keep", lambda: folder.mkdir(parents=True, exist_ok=True))
        check_page(folder / PAGE, folder / JOURNAL)
        site = stack.enter_context(Lab(pages=pages, proxies=proxies, faults=faults, latency=0.02, seed=seed))
        site.write_proxies(folder / "proxies.txt")
        bad = ", ".join(proxy.fault for proxy in site.proxies if proxy.fault) or "none"
        click.echo(
            f"practice site with {counted(pages * 10, 'film')}, {counted(workers, 'worker')}, "
            f"{counted(proxies, 'proxy', 'proxies')} (faulty: {bad})"
        )
        progress = Progress(sys.stderr)
        stack.enter_context(listening(progress.tell))
        stack.callback(progress.close)
        run = crawl(
            load(parse_ref("pinpool.examples.movies")),
            folder / "proxies.txt",
            workers=workers,
            journal=folder / JOURNAL,
            outputs=[f"{folder / 'films.jsonl'}"],
            seeds=[f"{site.named_url}/page/{n}" for n in range(1, pages + 1)],
            fresh=True,
            watch=progress,
            # Practice proxies forgive soon, and nobody wants to wait half a minute for a demonstration.
            cooling=2.0,
            timeout=3.0,
            deadline=8.0,
        )
        progress.close()
        _report(site, run, folder)


def _report(site: Lab, run: Run, folder: Path) -> None:
    """Show the run, compare it with what the site really holds, and exit with 1 if they differ."""
    from pinpool.report.html import render, write_page
    from pinpool.report.queries import account
    from pinpool.terminal.proxy_table import proxy_table
    from pinpool.terminal.summary import coverage_line, summary

    now = time.time()
    wanted = site.films(site.named_url)
    seen: dict[str, int] = {}
    wrong = 0
    for number, item in enumerate(run.items()):
        film = wanted.get(item["url"])
        seen[item["url"]] = seen.get(item["url"], 0) + 1
        wrong += film is None or (item["title"], item["directors"]) != (film.title, list(film.directors))
        if number < SHOWN_ITEMS:
            click.echo(f"  {item['title']}: {', '.join(item['directors'])}")
    click.echo(f"  ... and {max(0, len(seen) - SHOWN_ITEMS)} more\n")
    click.echo(proxy_table(run.stats))
    click.echo()
    click.echo(summary(run.stats, run.journal))
    coverage = run.coverage
    click.echo(coverage_line(coverage))
    page = folder / PAGE
    write_page(render(account(run.journal, now), now), page)
    twice = sum(1 for count in seen.values() if count > 1)
    missing = len(wanted.keys() - seen.keys())
    click.echo(
        f"compared with the site: {counted(len(wanted) - missing - wrong, 'film')} right, {wrong} wrong, "
        f"{missing} missing, {twice} twice; {counted(site.direct, 'request')} past the proxies"
    )
    click.echo(f"items: {folder / 'films.jsonl'}")
    click.echo(f"report: {page}")
    if not coverage.complete or wrong or missing or twice or site.direct:
        click.get_current_context().exit(1)


@click.command(short_help="A practice site and proxies to try on.")
@click.option(
    "--site-port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes any free port.",
)
@click.option(
    "--pages",
    type=click.IntRange(1, 5000),
    default=10,
    show_default=True,
    help="List pages, of ten films each.",
)
@click.option("--proxies", type=click.IntRange(1, 500), default=8, show_default=True)
@click.option(
    "--faults",
    default="",
    metavar="LIST",
    help="refused,blackhole,auth,ban,drip,reset,softban,flaky: one proxy each.",
)
@click.option(
    "--latency", type=click.FloatRange(0), default=0.0, metavar="MS", help="Milliseconds for each answer."
)
@click.option(
    "--dying",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    metavar="SHARE",
    help="Share of the proxies that dies for good each minute, 0.2 for instance.",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--write-proxies",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the list of proxies to this file.",
)
def lab(
    site_port: int,
    pages: int,
    proxies: int,
    faults: str,
    latency: float,
    dying: float,
    seed: int,
    write_proxies: Path | None,
) -> None:
    """Keep the practice site and its proxies running until Ctrl-C, to try a spider on.

    \b
    Example:
      pinpool lab --proxies 8 --faults refused,ban --write-proxies proxies.txt
    """
    from pinpool.lab import Lab

    named = [fault.strip() for fault in faults.split(",") if fault.strip()]
    try:
        site = Lab(
            pages=pages,
            proxies=proxies,
            faults=named,
            latency=latency / 1000,
            seed=seed,
            site_port=site_port,
            dying=dying,
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from None
    over = threading.Event()
    # Not Event.set() in the handler: it would wait for a lock that wait() may hold.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        site.start()
    except OSError as error:
        hint = f"port {site_port} cannot be used: {error.strerror}; choose another, or 0 for any free one"
        raise click.BadParameter(hint, param_hint="--site-port") from None
    try:
        if write_proxies is not None:
            _write(write_proxies, "--write-proxies", lambda: site.write_proxies(write_proxies))
        click.echo(f"site: {site.url}/page/1 (through its proxies also {site.named_url}/page/1)")
        for proxy in site.proxies:
            click.echo(f"proxy: {proxy.label}" + (f"  {proxy.fault}" if proxy.fault else ""))
        if write_proxies is not None:
            click.echo(f"list with passwords: {write_proxies}")
        click.echo("Ctrl-C ends it", err=True)
        sys.stdout.flush()
        while not over.wait(3600):
            pass
    except KeyboardInterrupt:
        click.echo("", err=True)
    finally:
        site.stop()


def _write(path: Path, option: str, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        hint = f"{path} cannot be written: {error.strerror}; name another"
        raise click.BadParameter(hint, param_hint=option) from None
