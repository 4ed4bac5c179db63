"""`pinpool crawl` and `pinpool resume`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.crawler.api import Run
    from pinpool.output.target import Target
    from pinpool.terminal.progress import Progress

#: Options that are settings of the spider by another name.
_SETTINGS = ("pace", "site_rate", "attempts", "swap_after", "connect_timeout", "timeout", "deadline")


def running_options(command: Callable[..., None]) -> Callable[..., None]:
    """What crawl and resume have in common."""
    options = [
        click.option(
            "-p",
            "--proxies",
            metavar="FILE",
            help="List of proxies, one a line; - is stdin. [PINPOOL_PROXIES]",
        ),
        click.option(
            "-w", "--workers", type=click.IntRange(1), help="Worker processes.  [one for each proxy]"
        ),
        click.option(
            "-o",
            "outputs",
            multiple=True,
            metavar="FILE[:FORMAT]",
            help="Append the items to FILE (jsonl, csv, parquet); - is stdout. CSV and Parquet when the run ends.",
        ),
        click.option(
            "-O", "overwrites", multiple=True, metavar="FILE[:FORMAT]", help="The same, but overwrite FILE."
        ),
        click.option(
            "--pace", type=float, metavar="S", help="Least seconds between two requests of one proxy."
        ),
        click.option("--site-rate", type=float, metavar="N", help="Most requests a second over all workers."),
        click.option(
            "--attempts", type=int, metavar="N", help="Charged attempts before a task is given up.  [4]"
        ),
        click.option(
            "--swap-after", type=int, metavar="N", help="Doubtful faults in a row before a worker swaps.  [3]"
        ),
        click.option("--connect-timeout", type=float, metavar="S", help="Connecting to the proxy.  [5]"),
        click.option("--timeout", type=float, metavar="S", help="Longest silence while reading.  [15]"),
        click.option(
            "--deadline", type=float, metavar="S", help="The whole page, extraction included.  [45]"
        ),
        click.option(
            "-s", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting of the spider."
        ),
        click.option(
            "--limit", type=click.IntRange(1), metavar="PAGES", help="Stop after so many pages; resumable."
        ),
        click.option(
            "--max-failures",
            type=click.IntRange(0),
            default=0,
            metavar="N",
            help="Failed tasks that are still exit 0.  [0]",
        ),
        click.option("--watch", is_flag=True, help="Follow changes of the list of proxies while it runs."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document."),
        click.option("-q", "--quiet", is_flag=True, help="No progress, and only errors of the log."),
        click.option("-v", "--verbose", count=True, help="Show more of the log on stderr; -vv all of it."),
        click.option(
            "--log",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Append the log as JSON lines, from info up; with -vv all of it.",
        ),
        click.option(
            "--metrics",
            type=click.Path(path_type=Path),
            metavar="FILE.prom",
            help="Keep figures for Prometheus' node exporter in this file.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(short_help="Scrape a site with a spider.")
@click.argument("spider")
@running_options
@click.option("-j", "--journal", type=click.Path(path_type=Path), help="Journal of the run.  [<spider>.db]")
@click.option(
    "--seeds", metavar="FILE", help="URLs to start from, one a line, in place of the spider's; - is stdin."
)
@click.option("--fresh", is_flag=True, help="Keep an earlier journal under another name and begin anew.")
@click.option("--start-method", type=click.Choice(["forkserver", "spawn", "fork"]), help="How workers start.")
def crawl(
    spider: str,
    journal: Path | None,
    seeds: str | None,
    fresh: bool,
    start_method: str | None,
    **options: Any,
) -> None:
    """Scrape a site with SPIDER (a file or a module).

    \b
    Example:
      pinpool crawl movies.py -p proxies.txt -o films.jsonl
    """
    from pinpool.crawler import PRELOAD
    from pinpool.pool.child_process import warm_up

    if start_method in (None, "forkserver"):
        warm_up(PRELOAD)
    from pinpool.crawler import api as runs
    from pinpool.spider.loader import load
    from pinpool.spider.ref import parse_ref
    from pinpool.spider.seeds import read_seeds

    if seeds == "-" and options["proxies"] == "-":
        raise click.UsageError("stdin can be the list of proxies or the seeds, not both")
    with _talking(options) as progress:
        loaded = load(parse_ref(spider))
        path = journal or Path(f"{loaded.name}.db")
        start = None if seeds is None else read_seeds(seeds, loaded.first_stage)
        _show(
            path,
            options,
            progress,
            lambda targets: runs.crawl(
                loaded,
                options["proxies"],
                workers=options["workers"],
                journal=path,
                outputs=targets,
                seeds=start,
                limit=options["limit"],
                fresh=fresh,
                reload=options["watch"],
                start_method=start_method,
                metrics=options["metrics"],
                watch=progress,
                tell=progress.tell,
                **_overrides(options),
            ),
        )


@click.command(short_help="Go on where a run stopped.")
@click.argument("journal", type=click.Path(path_type=Path))
@running_options
def resume(journal: Path, **options: Any) -> None:
    """Go on with the run in JOURNAL where it stopped, however it stopped.

    \b
    Example:
      pinpool resume movies.db -p better-proxies.txt
    """
    from pinpool.crawler import api as runs

    with _talking(options) as progress:
        _show(
            journal,
            options,
            progress,
            lambda targets: runs.resume(
                journal,
                options["proxies"],
                workers=options["workers"],
                outputs=targets,
                limit=options["limit"],
                reload=options["watch"],
                metrics=options["metrics"],
                watch=progress,
                tell=progress.tell,
                **_overrides(options),
            ),
        )


@contextmanager
def _talking(options: dict[str, Any]) -> Iterator[Progress]:
    """The progress, and the log: from before the spider is loaded, so that one that sets logging up comes too late."""
    from pinpool.terminal.log_output import listening
    from pinpool.terminal.progress import Progress

    if options["quiet"] and options["verbose"]:
        raise click.UsageError("-q asks for less and -v for more: choose one")
    # Items and a live view on one terminal would write over each other.
    items_shown = any(target.path == "-" for target in _targets(options)) and sys.stdout.isatty()
    progress = Progress(sys.stderr, quiet=options["quiet"], plain=items_shown)
    try:
        with listening(
            progress.tell, verbose=options["verbose"], quiet=options["quiet"], file=options["log"]
        ):
            yield progress
    finally:
        progress.close()


def _show(
    journal: Path, options: dict[str, Any], progress: Progress, go: Callable[[list[Target]], Run]
) -> None:
    """Run with progress, then say how it went; exits with the run's code."""
    from pinpool.crawler.api import Run, document
    from pinpool.errors import NoUsableProxy
    from pinpool.terminal.summary import summary

    targets = _targets(options)
    to_stdout = any(target.path == "-" for target in targets)
    if to_stdout and options["as_json"]:
        raise click.UsageError("stdout can be the items or the summary of --json, not both")
    _keep_apart(journal, targets, options)
    interrupted = f"interrupted; `pinpool resume {journal}` goes on"
    code, said = 0, None
    try:
        ended = go(targets).ended
        assert ended is not None
        if ended.end == "interrupted" and not ended.limited:
            code, said = 130, interrupted
        elif ended.end == "interrupted":
            said = f"stopped at the wanted number of pages; `pinpool resume {journal}` goes on"
        elif ended.failed > options["max_failures"]:
            code, said = 3, f"{counted(ended.failed, 'task')} failed; `pinpool failures {journal}` says why"
    except NoUsableProxy as error:
        code, said = 4, str(error)
    except BrokenPipeError:  # whoever read the items has seen enough
        code, said = 130, interrupted
        _drop_stdout()
    finally:
        progress.close()
    told = document(journal)
    text = (
        json.dumps(told, ensure_ascii=False)
        if options["as_json"]
        else summary(told, journal, Run(journal).advice)
    )
    if to_stdout:
        progress.tell(text)  # among the items it would be one more
    else:
        try:
            click.echo(text)
        except (
            OSError
        ):  # a reader who left, a terminal that was closed: the run's exit code is told all the same
            _drop_stdout()
    if said:
        progress.tell(said)
    if code:
        click.get_current_context().exit(code)


def _keep_apart(journal: Path, targets: list[Target], options: dict[str, Any]) -> None:
    """The log and the figures each need a file of their own; that of the list or the spider is refused by its look."""
    taken = {journal.resolve(), *(Path(target.path).resolve() for target in targets if target.path != "-")}
    for name in ("log", "metrics"):
        if options[name] is not None:
            path = options[name].resolve()
            if path in taken:
                raise click.BadParameter(
                    f"{options[name]} is used for something else", param_hint=f"--{name}"
                )
            taken.add(path)


def _drop_stdout() -> None:
    """What is still buffered for a reader who left must not fail again when the program ends."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _overrides(options: dict[str, Any]) -> dict[str, object]:
    from pinpool.settings import pairs

    named = {name: options[name] for name in _SETTINGS if options[name] is not None}
    return {**named, **pairs(options["settings"])}


def _targets(options: dict[str, Any]) -> list[Target]:
    from pinpool.output.target import parse_target

    return [
        *(parse_target(text) for text in options["outputs"]),
        *(parse_target(text, overwrite=True) for text in options["overwrites"]),
    ]
