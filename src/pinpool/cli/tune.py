"""`pinpool tune`: how many workers a list of proxies can feed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pinpool.cli import options as cli
from pinpool.cli.options import ExitCode, given_settings, say
from pinpool.cli.running import failed_line, lacking, load_spider, progress_and_log, start_workers_early
from pinpool.pool.registry import EngineChoice

if TYPE_CHECKING:
    from pinpool.tune.experiment import Experiment
    from pinpool.tune.result import Result

MOST_WORKERS = 10_000
#: Parameters that mean nothing with --from.
ONLY_MEASURED = ("journal", "seeds", "fresh", "settings", "quiet", "threads", "arguments")


def _sizes(value: str) -> list[int]:
    """Numbers of workers with commas between them."""
    parts = value.replace(",", " ").split()
    if wrong := [part for part in parts or [value] if not _is_number_of_workers(part)]:
        raise ValueError(
            f"{', '.join(map(repr, wrong))}: give numbers of workers from 1 to {MOST_WORKERS}, for instance 2,4,8"
        )
    return sorted(set(map(int, parts)))


def _is_number_of_workers(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= MOST_WORKERS


PROXIES_HELP = "List of proxies, one a line; - is stdin.  [PINPOOL_PROXIES] With --from: as if the list had so many."
PAGES_HELP = "Most pages to fetch. With --from: as if the job had N pages."
FROM_HELP = "Instead of SPIDER: learn from the run in this journal; nothing is fetched."


@click.command(short_help="How many workers the list can feed.")
@click.argument("spider", required=False)
@click.option("-p", "--proxies", metavar="FILE", help=PROXIES_HELP)
@click.option("--sizes", callback=cli.checked_by(_sizes), metavar="2,4,8", help="Numbers of workers to compare.")
@click.option("--pages", type=click.IntRange(1, 10_000_000), metavar="N", help=PAGES_HELP)
@cli.new_run_options
@cli.argument_option
@click.option("--from", "recorded", type=click.Path(path_type=Path), metavar="RUN.db", help=FROM_HELP)
@cli.setting_options("threads", "pace", "attempts", "swap_after", "cooling", defaults=False)
@cli.json_option
@cli.quiet_option
@click.pass_context
def tune(context: click.Context, /, spider: str | None, recorded: Path | None, **options: Any) -> None:
    """Find out how many workers are worth while: by trials of the job of SPIDER, or from the journal of a run.

    The trials crawl the job itself, each with more workers, until that does not help any more. All they fetch is kept
    in a journal, and `pinpool resume` does the rest. With --from nothing is fetched: the crawl is simulated with the
    latencies, faults and deaths that were recorded. There, options such as --pace ask what other settings would do.

    \b
    Example:
      pinpool tune movies.py -p proxies.txt --pages 2000
      pinpool tune --from movies.db --proxies 100 --pages 55000
    """
    if (spider is None) == (recorded is None):
        raise click.UsageError("name a spider to try it, or with --from the journal of a run; see --help")
    if spider is not None:
        _measure(spider, options)
    elif recorded is not None:
        given = [name for name in ONLY_MEASURED if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        names = {parameter.name: parameter.opts[-1] for parameter in context.command.params}
        if given:
            raise click.UsageError(f"{', '.join(names[name] for name in given)} means nothing with --from")
        _model(recorded, options)


def _model(journal: Path, options: dict[str, Any]) -> None:
    from pinpool.tune.forecast import forecast

    if (proxies := options["proxies"]) is not None and not _is_number_of_workers(proxies):
        hint = f"with --from give a number from 1 to {MOST_WORKERS}, as if the list had so many"
        raise click.BadParameter(hint, param_hint="--proxies")
    predicted = forecast(
        journal,
        sizes=options["sizes"],
        proxies=None if proxies is None else int(proxies),
        pages=options["pages"],
        changed=given_settings(options),
    )
    for note in predicted.notes:
        say(note, err=True)
    _print(options, predicted)


def _measure(spider: str, options: dict[str, Any]) -> None:
    choice = EngineChoice()
    start_workers_early(choice)
    from pinpool.tune.experiment import Experiment

    with progress_and_log(options, choice) as progress:
        say = (lambda line: None) if options["quiet"] else progress.tell
        loaded, seeds = load_spider(spider, **{name: options[name] for name in ("arguments", "seeds", "proxies")})
        asked: dict[str, Any] = {name: options[name] for name in ("sizes", "pages", "journal", "fresh")}
        asked |= given_settings(options)
        experiment = Experiment(
            loaded,
            options["proxies"],
            seeds=seeds,
            tell=progress.tell,
            show=progress.show,
            report=say,
            **asked,
        )
        say(experiment.words)
        result = experiment.run()
    for note in result.notes:
        say(note)
    _print(options, result, experiment.path)
    code, last_line = _ending(experiment, result.recommendation.workers)
    progress.tell(last_line)
    cli.leave(code)


def _ending(experiment: Experiment, workers: int) -> tuple[ExitCode, str]:
    """The exit code, which is that of a crawl that ended so, and how the job goes on, with so many workers."""
    from pinpool.crawler.api import Run

    journal, ended = experiment.path, experiment.ended
    goes_on = f"pinpool resume {journal}" + (f" -w {workers}" if workers else "")
    if ended is not None and ended.end == "complete":
        done = "the job was done before the trials were"
        if ended.failed:
            return ExitCode.INCOMPLETE, f"{done}: {failed_line(ended.failed, journal)}"
        return ExitCode.COMPLETE, done
    if ended is not None and ended.end == "stopped":
        return ExitCode.INCOMPLETE, "\n".join(lacking(Run(journal)))
    if ended is not None and ended.end == "starved":
        hint = f"`{goes_on} -p LIST` goes on, with a better list or at a better time"
        return ExitCode.NO_PROXY, f"{ended.why}\n{hint}"
    if experiment.interrupted:
        return ExitCode.INTERRUPTED, f"interrupted; `{goes_on}` goes on"
    return ExitCode.COMPLETE, f"what was fetched is kept: `{goes_on}` does the rest of the job"


def _print(options: dict[str, Any], result: Result, journal: Path | None = None) -> None:
    """Print the result as a table with the recommendation, or as JSON."""
    from pinpool.tune.result import answer

    if options["as_json"]:
        document = result.document()
        say(cli.json_text(document if journal is None else {**document, "journal": str(journal)}))
    else:
        say(answer(result))
