"""`pinpool try`: one page, and what the spider would make of it. No journal, no worker."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from pinpool.cli.options import ExitCode, argument_option, leave, say
from pinpool.errors import ProxyListError
from pinpool.text import counted, one_line, shown_path

if TYPE_CHECKING:
    from pinpool.check.page import PageTry
    from pinpool.model import Fetched, Task
    from pinpool.proxies.proxy import Proxy
    from pinpool.spider.extraction import Extracted

SHOWN_TASKS = 20


@click.command("try", short_help="Try a spider on one page.")
@click.argument("spider")
@click.argument("url", required=False)
@click.option("-p", "--proxies", metavar="FILE", help="List of proxies; the first that works is used.")
@click.option("--direct", is_flag=True, help="Fetch without a proxy, from this machine's own address.")
@argument_option
@click.option("--stage", help="Stage of the page.  [the seeds' stage]")
@click.option(
    "--page",
    metavar="RUN.db:ID",
    help="Take a page that a run has kept, see `pinpool failures`; fetch nothing.",
)
def try_(
    spider: str,
    url: str | None,
    proxies: str | None,
    direct: bool,
    arguments: tuple[str, ...],
    stage: str | None,
    page: str | None,
) -> None:
    """Fetch one page, the first seed or URL, and show what SPIDER would make of it. Nothing is written.

    Exit code 0 if the spider made something of it, 3 if not.

    \b
    Example:
      pinpool try movies.py --direct
      pinpool try movies.py https://site.example/film/7 --stage detail -p proxies.txt
      pinpool try movies.py --page movies.db:3
    """
    from pinpool.check.page import try_again, try_directly, try_proxies
    from pinpool.spider.arguments import given_arguments
    from pinpool.spider.loader import load, parse_ref
    from pinpool.spider.seeds import seeds_of

    if proxies and direct:
        raise click.UsageError("-p and --direct exclude each other")
    if page and (proxies or direct or url):
        raise click.UsageError("--page fetches nothing: leave -p, --direct and URL out")
    given = given_arguments(arguments)
    sample = None if page is None else _page_sample(page)
    if sample is not None and not given:
        given = sample.arguments
    loaded = load(parse_ref(spider)._replace(arguments=given))
    if stage is not None and stage not in loaded.stages:
        raise click.BadParameter(
            f"{spider} has no stage {stage}; it has {', '.join(loaded.stages)}", param_hint="--stage"
        )
    loaded.check(seeds=url is None and page is None)
    if sample is not None:
        task, fetched = sample.task, sample.fetched
    else:
        task, fetched = next(iter(seeds_of(loaded, None if url is None else [url]))), None
    task = task._replace(stage=stage or task.stage)
    attempts: Iterable[PageTry]
    if fetched is not None:
        attempts = [try_again(loaded, task, fetched)]
    elif direct:
        attempts = [try_directly(loaded, task)]
    else:
        attempts = try_proxies(loaded, task, _listed(proxies))
    if not _show(task, attempts, fetched_now=fetched is None):
        leave(ExitCode.INCOMPLETE)


def _listed(source: str | None) -> Sequence[Proxy]:
    from pinpool.proxies.source import VARIABLE, proxies_from

    try:
        return proxies_from(source).proxies
    except ProxyListError as error:
        if source is not None or os.environ.get(VARIABLE):
            raise
        raise ProxyListError(f"{error}; or do without any: --direct") from None


class _Sample(NamedTuple):
    """A page sample with its task, and the arguments of the spider in that run."""

    task: Task
    fetched: Fetched
    arguments: tuple[tuple[str, str], ...]


def _page_sample(place: str) -> _Sample:
    """The page sample at ``RUN.db:ID``."""
    from pinpool.journal.reader import Reader
    from pinpool.journal.records import read_settings

    if not (match := re.fullmatch(r"(.+):([0-9]{1,99})", place)):
        raise click.BadParameter(f"{shown_path(place)!r} is not RUN.db:ID", param_hint="--page")
    with Reader(match[1]) as reader:
        return _Sample(*reader.page_sample(int(match[2])), read_settings(reader.run_info().settings)[1])


def _show(task: Task, attempts: Iterable[PageTry], *, fetched_now: bool) -> bool:
    """Print the attempts as they come. True if the spider made something of the page."""
    from pinpool.fetch.robots import FORBIDDEN
    from pinpool.model import Evidence

    for attempt in attempts:
        fetched, result, proxy = attempt
        if fetched is not None:
            if proxy is not None:
                say(f"through {proxy.label}")
            _show_answer(task, fetched, fetched_now=fetched_now)
        if isinstance(result, Evidence):
            who = f"{proxy.label}: " if proxy is not None else ""
            say(f"{who}{attempt.fault}: {result.message}", err=True)
        elif result is not None:
            return _show_extracted(result)
        elif fetched is not None:
            say("gone: the site says that there is no such page", err=True)
        else:
            say(f"{task.url}: {FORBIDDEN}; in a crawl it would count as gone", err=True)
        if attempt.settled:
            return False
    if proxy is not None:
        say("no proxy of the list could be used", err=True)
    return False


def _show_answer(task: Task, fetched: Fetched, *, fetched_now: bool) -> None:
    answer = f"{fetched.status} {one_line(fetched.url)}: {counted(len(fetched.body), 'byte')}"
    say(f"{answer} in {fetched.seconds:.2f} s" if fetched_now else f"{answer}, stage {task.stage}")
    if fetched.note:
        say(fetched.note, err=True)
    if not fetched_now and len(fetched.body) < fetched.size:
        say(f"the page sample is cut: the page had {counted(fetched.size, 'byte')}", err=True)


def _show_extracted(found: Extracted) -> bool:
    for item in found.items:
        say(json.dumps(json.loads(item), ensure_ascii=False, indent=2))
    for child in found.tasks[:SHOWN_TASKS]:
        say(f"{child.stage}: {child.method} {child.url}")
    if len(found.tasks) > SHOWN_TASKS:
        say(f"... and {counted(len(found.tasks) - SHOWN_TASKS, 'more task')}")
    for link in found.left_out[:SHOWN_TASKS]:
        say(f"left out: {link}", err=True)
    left_out = f", {counted(len(found.left_out), 'link')} left out" if found.left_out else ""
    say(f"{counted(len(found.items), 'item')}, {counted(len(found.tasks), 'task')}{left_out}")
    if found.empty:
        say("nothing extracted: a crawl would try this page through other proxies, too", err=True)
    return not found.empty
