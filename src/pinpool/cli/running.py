"""What `crawl` and `resume` share: options, progress and log, and how a run ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpool.cli import is_watched
from pinpool.cli.options import (
    PATH,
    ExitCode,
    defaulted,
    given_settings,
    json_text,
    leave,
    output_options,
    quiet_option,
    say,
    setting_options,
    targets,
    together,
)
from pinpool.errors import NoUsableProxy
from pinpool.files import discard
from pinpool.pool.registry import OPTION_WORDS, EngineChoice
from pinpool.settings import settings_from
from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.crawler.api import Run
    from pinpool.crawler.launch import Ended
    from pinpool.output.target import Target
    from pinpool.spider.seeds import Seeds
    from pinpool.spider.spider import Spider
    from pinpool.terminal.progress import Progress

running_options = together(
    click.option("-p", "--proxies", metavar="FILE", help="List of proxies, one a line; - is stdin.  [PINPOOL_PROXIES]"),
    click.option(
        "-w", "--workers", type=click.IntRange(1), help="Workers: proxies in use at a time.  [one for each proxy]"
    ),
    output_options,
    setting_options("threads", "pace", "site_rate", "attempts", "swap_after", "connect_timeout", "timeout", "deadline"),
    click.option("--limit", type=click.IntRange(1), metavar="PAGES", help="Stop after so many pages; resumable."),
    defaulted(
        "--max-failures",
        default=0,
        help="Failed tasks that are still exit code 0.",
        type=click.IntRange(0),
        metavar="N",
    ),
    click.option("--watch", is_flag=True, help="Follow changes of the list of proxies during the run."),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document."),
    quiet_option,
    click.option("-v", "--verbose", count=True, help="Show more of the log on stderr; -vv all of it."),
    click.option("--log", type=PATH, metavar="FILE", help="Append the log as JSON lines; -vv: all of it."),
    click.option("--metrics", type=PATH, metavar="FILE.prom", help="Keep figures for Prometheus in FILE."),
)


def checked_engine(options: Mapping[str, Any], start_method: str | None = None) -> EngineChoice:
    """What `engine_options` say. Raises UsageError."""
    choice = EngineChoice(options["engine"], start_method, options["raises"], options["address"])
    return _checked(choice, options)


def resumed_engine(options: Mapping[str, Any], journal: Path) -> EngineChoice:
    """What `engine_options` say of a run that is gone on with. Raises UsageError."""
    from pinpool.crawler.api import resumed_choice
    from pinpool.journal.reader import Reader

    with Reader(journal) as reader:
        info = reader.run_info()
    choice = resumed_choice(info, options["engine"], raises=options["raises"], address=options["address"])
    return _checked(choice, options)


def _checked(choice: EngineChoice, options: Mapping[str, Any]) -> EngineChoice:
    threads = settings_from(given_settings(options)).threads > 1
    choice.check(threads=threads, words=OPTION_WORDS)
    return choice


def start_workers_early(choice: EngineChoice) -> None:
    """
    Let the forkserver, if it is to be, load its modules while this process loads its own. Raises UsageError if workers
    cannot start here at all.
    """
    from pinpool.pool.ground import check_ground

    check_ground(choice.where)
    if choice.where == "processes" and choice.start_method in (None, "forkserver"):
        from pinpool.crawler import PRELOAD
        from pinpool.pool.child_process import warm_up

        with suppress(OSError):  # the engine tries it again, and tells the reason
            warm_up(PRELOAD)


def load_spider(
    spider: str, *, arguments: Iterable[str], seeds: str | None, proxies: str | None
) -> tuple[Spider, Seeds | None]:
    """The spider, and the tasks of a file of seeds if one is given. Raises UsageError."""
    from pinpool.spider.arguments import given_arguments
    from pinpool.spider.loader import load, parse_ref
    from pinpool.spider.seeds import read_seeds

    if seeds == "-" and proxies == "-":
        raise click.UsageError("stdin can be the list of proxies or the seeds, not both")
    loaded = load(parse_ref(spider)._replace(arguments=given_arguments(arguments)))
    return loaded, None if seeds is None else read_seeds(seeds, loaded.first_stage)


@contextmanager
def progress_and_log(options: Mapping[str, Any], choice: EngineChoice) -> Iterator[Progress]:
    """
    Show progress and log on stderr, as `running_options` say.

    It begins before the spider is loaded, so that a spider that sets up logging cannot undo it.
    """
    from pinpool.terminal.log_output import logging_to
    from pinpool.terminal.progress import Progress

    quiet, verbose = options.get("quiet", False), options.get("verbose", 0)
    if quiet and verbose:
        raise click.UsageError("-q asks for less and -v for more: choose one")
    outputs = targets(options) if "outputs" in options else []
    # Items and a live view on one terminal would write over each other; so would a debugger, or what a spider prints.
    items_shown = sys.stdout.isatty() and any(target.path == "-" for target in outputs)
    progress = Progress(sys.stderr, quiet=quiet, plain=items_shown or choice.where == "caller")
    with closing(progress), logging_to(progress.tell, verbose=verbose, quiet=quiet, file=options.get("log")):
        yield progress


def run_to_the_end(
    run: Callable[..., Run], journal: Path, options: Mapping[str, Any], progress: Progress, choice: EngineChoice
) -> None:
    """
    Call `run` with what `running_options` say, print the summary, and leave with the exit code. What the spider raises
    is raised if a debugger runs this command.

    `run` is `pinpool.crawl` or `pinpool.resume` with its other arguments bound.
    """
    from pinpool.crawler.api import Run
    from pinpool.spider.user_errors import is_from_page
    from pinpool.terminal.summary import empty_fields, summary

    outputs = targets(options)
    items_on_stdout = any(target.path == "-" for target in outputs)
    if items_on_stdout and options["as_json"]:
        raise click.UsageError("stdout can be the items or the summary of --json, not both")
    _check_log_and_metrics(journal, outputs, options)
    # What a spider prints in this process is no item, and no summary.
    data_on_stdout = choice.where == "caller" and (items_on_stdout or options["as_json"])
    try:
        with redirect_stdout(sys.stderr) if data_on_stdout else nullcontext():
            ended = run(
                proxies=options["proxies"],
                workers=options["workers"],
                outputs=outputs,
                limit=options["limit"],
                max_failures=options["max_failures"],
                reload=options["watch"],
                engine=options["engine"],
                raises=options["raises"],
                address=options["address"],
                metrics=options["metrics"],
                watch=progress,
                tell=progress.tell,
                **given_settings(options),
            ).ended
        code, last_lines = _ending(ended, Run(journal), options["max_failures"], choice)
    except NoUsableProxy as error:
        doubt = Run(journal).found.doubt
        code, last_lines = ExitCode.NO_PROXY, [*filter(None, [doubt]), str(error)]
    except BaseException as error:
        if is_from_page(error) and not is_watched():
            code, last_lines = ExitCode.INTERNAL, [f"the spider has raised; {_way_on(journal, choice)}"]
        elif isinstance(error, BrokenPipeError):  # the reader of the items has seen enough
            code, last_lines = _ending(None, Run(journal), 0, choice)
            discard(sys.stdout)
        else:
            raise
    finally:
        progress.close()
    finished = Run(journal)
    stats, fields = finished.stats, finished.fields
    if options["as_json"]:
        text = json_text(stats)
    else:
        text = summary(stats, journal, finished.advice_on(stats), verdict=finished.verdict, fields=fields)
    if items_on_stdout:
        progress.tell(text)  # stdout holds items and nothing else
    else:
        try:
            say(text)
        except OSError:  # nobody reads any more; the exit code is still that of the run
            discard(sys.stdout)
    for line in [*empty_fields(fields), *last_lines]:
        progress.tell(line)
    leave(code)


def _ending(ended: Ended | None, run: Run, max_failures: int, choice: EngineChoice) -> tuple[ExitCode, list[str]]:
    """The exit code of a run that was not starved, and the last lines for people. None: it was interrupted."""
    goes_on, found = _way_on(run.journal, choice), run.found
    doubt = [found.doubt] if found.doubt else []
    if ended is None or ended.end == "interrupted":
        return ExitCode.INTERRUPTED, [*doubt, f"interrupted; {goes_on}"]
    if ended.end == "limited":
        return ExitCode.COMPLETE, [*doubt, f"stopped at the wanted number of pages; {goes_on}"]
    elsewhere = sum(stage.failed for stage in found.stages)  # a stage that yielded nothing has lines of its own
    lines = [failed_line(elsewhere, run.journal)] if elsewhere and ended.failed > max_failures else []
    if ended.end == "stopped" or doubt or found.fruitless > max_failures or not max_failures:
        lines += lacking(run)
    return ExitCode.INCOMPLETE if lines else ExitCode.COMPLETE, lines


def _way_on(journal: Path, choice: EngineChoice) -> str:
    faster = "; add --engine processes for many pages at a time" if choice.where == "caller" else ""
    return f"`pinpool resume {journal}` goes on{faster}"


def lacking(run: Run) -> list[str]:
    """What keeps a run that is over from being a success, and what to do; empty if nothing does."""
    from pinpool.journal.reader import Reader
    from pinpool.journal.records import read_settings
    from pinpool.spider.user_errors import shown_file
    from pinpool.terminal.lacking import lacking_lines

    with Reader(run.journal) as reader:
        found, info = reader.run_yield(), reader.run_info()
        samples = {sample.stage: sample.id for sample in reader.page_samples()}
    spider = shown_file(info.spider_ref).removesuffix(":spider")
    names = dict(read_settings(info.settings).arguments)
    return lacking_lines(found, run.journal, spider, shown_file(info.proxies or "LIST"), samples, names)


def failed_line(failed: int, journal: Path) -> str:
    return f"{counted(failed, 'task')} failed; `pinpool failures {journal}` says why"


def _check_log_and_metrics(journal: Path, outputs: list[Target], options: Mapping[str, Any]) -> None:
    """The log and the figures each need a file of their own. Later checks refuse the spider and the list."""
    from pinpool.files import use_of

    used: dict[str, str | Path] = {"the journal": journal}
    used |= {f"the output {target.path}": target.path for target in outputs}
    for name in ("log", "metrics"):
        if (path := options[name]) is not None:
            if use := use_of(path, used):
                raise click.BadParameter(f"{path} is {use}: name another file", param_hint=f"--{name}")
            used[f"the file of --{name}"] = path
