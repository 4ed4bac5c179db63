"""`pinpool tune`: how many workers a list of proxies can feed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pinpool.text import counted

if TYPE_CHECKING:
    from pinpool.tune.experiment import Result
    from pinpool.tune.result import Advice, Row

#: What may be asked otherwise than it was recorded.
_POLICY = ("pace", "attempts", "swap_after", "cooling")
_MOST = 10_000
#: Of a job that is simulated: the model keeps all its pages in memory.
_MOST_PAGES = 1_000_000
#: Options that mean nothing in the other form of the command.
_ONLY_MODELLED = ("seed",)
_ONLY_MEASURED = ("minutes", "kept", "seeds", "fresh", "settings", "quiet")


def _sizes(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """Numbers of workers with commas between them."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",") if part.strip()]
    wrong = [part for part in parts if not (part.isascii() and part.isdigit() and 0 < int(part) <= _MOST)]
    if wrong or not parts:
        named = ", ".join(map(repr, wrong)) or repr(value)
        raise click.BadParameter(f"{named}: give numbers of workers from 1 to {_MOST}, for instance 2,4,8")
    return sorted({int(part) for part in parts})


@click.command(short_help="How many workers the list can feed.")
@click.argument("spider", required=False)
@click.option(
    "-p",
    "--proxies",
    metavar="FILE",
    help="List of proxies, one a line; - is stdin. [PINPOOL_PROXIES] With --from: as if the list had so many.",
)
@click.option("--sizes", callback=_sizes, metavar="2,4,8", help="Numbers of workers to look at.")
@click.option(
    "--pages",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="Most pages to fetch. With --from: as if the job had N pages.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="M", help="Most time.  [10]")
@click.option(
    "-j", "--journal", "kept", type=click.Path(path_type=Path), help="Journal of the run.  [<spider>.db]"
)
@click.option(
    "--seeds", metavar="FILE", help="URLs to start from, one a line, in place of the spider's; - is stdin."
)
@click.option("--fresh", is_flag=True, help="Keep an earlier journal under another name and begin anew.")
@click.option(
    "--from",
    "journal",
    type=click.Path(path_type=Path),
    metavar="RUN.db",
    help="In place of SPIDER: learn from the run in this journal; nothing is fetched.",
)
@click.option("--pace", metavar="S", help="Least seconds between two requests of one proxy.")
@click.option("--attempts", metavar="N", help="Charged attempts before a task is given up.")
@click.option("--swap-after", metavar="N", help="Doubtful faults in a row before a worker swaps.")
@click.option("--cooling", metavar="S", help="First rest of a faulted proxy.")
@click.option("-s", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting of the spider.")
@click.option("--seed", type=int, default=1, help="With --from: the same seed gives the same figures.  [1]")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a plot to FILE."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, and only errors of the log.")
@click.pass_context
def tune(context: click.Context, /, spider: str | None, journal: Path | None, **options: Any) -> None:
    """Find out how many workers are worth while: by trials of the job of SPIDER, or from the journal of a run.

    The trials crawl the job itself, each with more workers, until that does not help any more. All they fetch is kept
    in a journal, with which `pinpool resume` goes on. With --from nothing is fetched: the crawl is simulated with the
    latencies, faults and deaths that were recorded; --pace and its kin then ask what other rules would do.

    \b
    Example:
      pinpool tune movies.py -p proxies.txt --pages 2000
      pinpool tune --from movies.db --proxies 100 --pages 55000
    """
    if (spider is None) == (journal is None):
        raise click.UsageError("name a spider to try it, or with --from the journal of a run; see --help")
    form, others = ("with --from", _ONLY_MEASURED) if journal else ("without --from", _ONLY_MODELLED)
    given = [name for name in others if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        names = {one.name: one.opts[-1] for one in context.command.params}
        raise click.UsageError(f"{', '.join(names[name] for name in given)} means nothing {form}")
    if journal is not None:
        _model(journal, **options)
    else:
        assert spider is not None
        _measure(context, spider, **options)


def _model(
    journal: Path,
    *,
    sizes: Sequence[int] | None,
    proxies: str | None,
    pages: int | None,
    seed: int,
    svg: Path | None,
    as_json: bool,
    **policy: Any,
) -> None:
    from pinpool.tune.forecast import forecast

    if proxies is not None and not (proxies.isascii() and proxies.isdigit() and 0 < int(proxies) <= _MOST):
        hint = f"with --from give a number from 1 to {_MOST}, as if the list had so many"
        raise click.BadParameter(hint, param_hint="--proxies")
    if pages is not None and pages > _MOST_PAGES:
        raise click.BadParameter(f"with --from at most {_MOST_PAGES:,} pages", param_hint="--pages")
    foretold = forecast(
        journal,
        sizes=sizes,
        proxies=None if proxies is None else int(proxies),
        pages=pages,
        changed={name: policy[name] for name in _POLICY if policy[name] is not None},
        seed=seed,
        note=lambda line: click.echo(line, err=True),
        progress=_progress,
    )
    show(
        foretold.rows,
        proxies=foretold.proxies,
        pages=foretold.pages,
        spares=foretold.spares,
        svg=svg,
        as_json=as_json,
    )


def _measure(
    context: click.Context,
    spider: str,
    *,
    sizes: Sequence[int] | None,
    proxies: str | None,
    pages: int | None,
    minutes: float | None,
    kept: Path | None,
    seeds: str | None,
    fresh: bool,
    settings: Sequence[str],
    svg: Path | None,
    as_json: bool,
    quiet: bool,
    **policy: Any,
) -> None:
    from pinpool.crawler import PRELOAD
    from pinpool.pool.child_process import warm_up

    if seeds == "-" and proxies == "-":
        raise click.UsageError("stdin can be the list of proxies or the seeds, not both")
    if svg is not None and not svg.absolute().parent.is_dir():  # rather now than after ten minutes
        raise click.BadParameter(f"{svg} cannot be written: there is no such folder", param_hint="--svg")
    warm_up(PRELOAD)
    from pinpool.settings import pairs
    from pinpool.spider.loader import load
    from pinpool.spider.ref import parse_ref
    from pinpool.spider.seeds import read_seeds
    from pinpool.terminal.log_output import listening
    from pinpool.terminal.progress import Progress
    from pinpool.tune.experiment import plan, run
    from pinpool.tune.table import standing, trial_line

    progress = Progress(sys.stderr, quiet=quiet)
    say = (lambda line: None) if quiet else progress.tell
    try:
        with listening(progress.tell, quiet=quiet):
            loaded = load(parse_ref(spider))
            chosen = plan(
                loaded,
                proxies,
                seeds=None if seeds is None else read_seeds(seeds, loaded.first_stage),
                sizes=sizes,
                pages=pages,
                minutes=minutes,
                journal=kept,
                fresh=fresh,
                tell=progress.tell,
                **{name: policy[name] for name in _POLICY if policy[name] is not None},
                **pairs(settings),
            )
            say(chosen.words)
            result = run(
                chosen,
                show=lambda workers, view, trial: progress.show(lambda: standing(workers, view, trial)),
                told=lambda row: say(trial_line(row)),
            )
    finally:
        progress.close()
    for note in result.notes:
        say(note)
    show(
        result.rows,
        proxies=len(chosen.launch.proxies.proxies),
        pages=result.pages,
        spares=result.spares,
        svg=svg,
        as_json=as_json,
        advice=result.advice,
        journal=chosen.launch.journal,
    )
    code, said = _ending(result, chosen.launch.journal)
    progress.tell(said)
    if code:
        context.exit(code)


def _ending(result: Result, journal: Path) -> tuple[int, str]:
    """The exit code, which is that of a crawl that ended so, and how the job goes on."""
    goes_on = f"pinpool resume {journal}" + (f" -w {result.advice.workers}" if result.advice.workers else "")
    ended = result.ended
    if ended is not None and ended.end == "complete":
        failed = (
            f": {counted(ended.failed, 'task')} failed; `pinpool failures {journal}` says why"
            if ended.failed
            else ""
        )
        return (3 if failed else 0), f"the job was done before the trials were{failed}"
    if ended is not None and ended.end == "starved":
        return 4, f"{ended.why}; `{goes_on} -p LIST` goes on, with a better list or at a better time"
    if result.interrupted:
        return 130, f"interrupted; `{goes_on}` goes on"
    return 0, f"what was fetched is kept: `{goes_on}` does the rest of the job"


def _progress(text: str) -> None:
    """One line that the next one overwrites; nothing off a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r{text:<40}\r{text}", err=True, nl=False)


def show(
    rows: Sequence[Row],
    *,
    proxies: int,
    pages: int | None,
    spares: int | None,
    svg: Path | None,
    as_json: bool,
    advice: Advice | None = None,
    journal: Path | None = None,
) -> None:
    """Print the rows as a table with the advice, or as JSON, and write the plot."""
    from pinpool.tune.result import tune_document
    from pinpool.tune.table import answer, plot

    told = tune_document(rows, proxies=proxies, pages=pages, spares_to_hold=spares, advice=advice)
    if journal is not None:
        told["journal"] = str(journal)
    if svg is not None and rows:
        try:
            svg.write_text(plot(rows, told["recommended"]), encoding="utf-8")
        except OSError as error:
            hint = f"{svg} cannot be written: {error.strerror}; name another"
            raise click.BadParameter(hint, param_hint="--svg") from None
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    blocks = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(answer(rows, told, blocks=blocks))
