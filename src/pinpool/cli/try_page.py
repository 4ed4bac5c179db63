"""`pinpool try`: one page, and what the spider would make of it. No journal, no worker."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pinpool.cli.options import PATH, ExitCode, argument_option, given_settings, leave, setting_options, together
from pinpool.errors import ProxyListError, UsageError
from pinpool.text import shown_path

if TYPE_CHECKING:
    from pinpool.check.page import PageTry
    from pinpool.check.question import Question
    from pinpool.model import Fetched, Task
    from pinpool.proxies.proxy import Proxy
    from pinpool.spider.spider import Spider

_where_from = together(
    click.option("-p", "--proxies", metavar="FILE", help="List of proxies; the first that works is used."),
    click.option("--direct", is_flag=True, help="Fetch without a proxy, from this machine's own address."),
    click.option("--file", type=PATH, metavar="PAGE", help="Take a page from a file; fetch nothing."),
    click.option(
        "--page", metavar="RUN.db:ID", help="Take a page that a run has kept, see `pinpool failures`; fetch nothing."
    ),
)
_what_is_sent = together(
    click.option("--stage", help="Stage of the page.  [guessed from its URL]"),
    click.option("--form", multiple=True, metavar="K=V", help="A field of a form, which is sent by POST. Repeatable."),
    click.option("--data", metavar="JSON", help="What another page would hand on, as page.data: '{\"year\": 1979}'."),
)
_what_is_done = together(
    click.option("--select", multiple=True, metavar="SELECTOR", help="Show what it finds in the page. Repeatable."),
    click.option("--shell", is_flag=True, help="Open a Python prompt with the page."),
    click.option("--save", type=PATH, metavar="PAGE", help="Write the page to a file, which must not be there."),
)


@click.command("try", short_help="Try a spider on one page.")
@click.argument("spider")
@click.argument("url", required=False)
@_where_from
@argument_option
@setting_options()
@_what_is_sent
@_what_is_done
def try_(spider: str, url: str | None, **options: Any) -> None:
    """Fetch one page, the first seed or URL, and show what SPIDER would make of it. There is no journal.

    It says which stage of the spider the page belongs to, which fields were found, which links were left out and why,
    and where the spider's own code raised. With --select or --shell you look at the page yourself.

    Exit code 0 if the spider made something of the page, or each --select found something; 3 if not.

    \b
    Example:
      pinpool try movies.py -p proxies.txt
      pinpool try movies.py https://site.example/film/7 --direct --save film.html
      pinpool try movies.py --file film.html --select h2::text --select "//p"
      pinpool try movies.py --page movies.db:3 --shell
      pinpool try movies.py -p proxies.txt -s ca_bundle=authority.pem
    """
    from pinpool.cli.try_answer import Shown, show
    from pinpool.errors import SettingsError, SpiderError
    from pinpool.settings import settings_from
    from pinpool.spider.arguments import given_arguments
    from pinpool.spider.loader import load, parse_ref

    _refuse_contradictions(url, options)
    problems = [*_wrong_values(options)]
    sample = _page_sample(options["page"]) if options["page"] else None
    try:
        given = given_arguments(options["arguments"]) or (sample.arguments if sample else ())
        loaded = load(parse_ref(spider)._replace(arguments=given))
        loaded.settings = settings_from(given_settings(options), loaded.settings)
        loaded.check(seeds=url is None and not options["page"] and not options["file"])
    except (SpiderError, SettingsError) as error:
        raise UsageError([*problems, *error.problems]) if problems else error from None
    stage = options["stage"]
    if stage is not None and stage not in loaded.stages:
        problems.append(f"--stage: {shown_path(spider)} has no stage {stage}; it has {', '.join(loaded.stages)}")
    if problems:
        raise UsageError(problems)
    question, fetched = _question(loaded, url, sample, options)
    shown = Shown(
        loaded, question, fetched is None, tuple(options["select"]), shell=options["shell"], save=options["save"]
    )
    if not show(shown, _attempts(loaded, question, fetched, options)):
        leave(ExitCode.INCOMPLETE)


def _refuse_contradictions(url: str | None, options: dict[str, Any]) -> None:
    if options["proxies"] and options["direct"]:
        raise click.UsageError("-p and --direct exclude each other")
    if options["page"] and (options["file"] or url):
        raise click.UsageError("--page fetches nothing: leave -p, --direct, --file and URL out")
    for name in ("page", "file"):
        if options[name] and (options["proxies"] or options["direct"]):
            raise click.UsageError(f"--{name} fetches nothing: leave -p, --direct and URL out")
        if options[name] and options["form"]:
            raise click.UsageError(f"--{name} fetches nothing: leave --form out")


def _wrong_values(options: dict[str, Any]) -> Iterator[str]:
    from pinpool.check.page_file import refusal_to_save
    from pinpool.cli.try_shell import refusal
    from pinpool.selectors import checked

    for field in options["form"]:
        if not field.partition("=")[1] or field.startswith("="):
            yield f"--form: {shown_path(field)!r} is not K=V"
    if options["data"] is not None and (problem := _wrong_data(options["data"])):
        yield f"--data: {problem}"
    for selector in options["select"]:
        try:
            checked(selector)
        except ValueError as error:
            yield f"--select: {error}"
    if options["save"] is not None and (problem := refusal_to_save(options["save"])):
        yield problem
    if options["shell"] and (problem := refusal()):
        yield problem


def _wrong_data(text: str) -> str:
    try:
        data = json.loads(text)
    except ValueError as error:
        return f"it is not JSON: {error}; write it as '{{\"year\": 1979}}'"
    return "" if isinstance(data, dict) else f"it is {type(data).__name__}; write an object, as '{{\"year\": 1979}}'"


def _question(
    spider: Spider, url: str | None, sample: _Sample | None, options: dict[str, Any]
) -> tuple[Question, Fetched | None]:
    """What is asked for, and the page if it need not be fetched."""
    from pinpool.check.page_file import read_page
    from pinpool.check.question import Question, about_file, about_seed, about_url, sent_with
    from pinpool.spider.seeds import seeds_of

    fetched, stage, path = None, options["stage"], options["file"]
    try:
        if sample is not None:
            task, fetched = sample.task._replace(stage=stage or sample.task.stage), sample.fetched
            question = Question(task, (task.stage,), "" if stage else "as the journal says")
        elif path is not None:
            question = about_file(spider, url, stage)
            fetched = read_page(path, question.task.url, spider.settings)
        elif url is not None:
            question = about_url(spider, url, stage)
        else:
            question = about_seed(next(iter(seeds_of(spider))), stage)
        form = [(name, value) for name, _, value in (field.partition("=") for field in options["form"])]
        data = None if options["data"] is None else json.loads(options["data"])
        return sent_with(question, form, data), fetched
    except ValueError as error:
        raise UsageError(str(error)) from None


def _attempts(
    spider: Spider, question: Question, fetched: Fetched | None, options: dict[str, Any]
) -> Iterable[PageTry]:
    from pinpool.check.page import try_again, try_directly, try_proxies

    if fetched is not None:
        return [try_again(spider, question, fetched)]
    if options["direct"]:
        return [try_directly(spider, question)]
    return try_proxies(spider, question, _listed(options["proxies"]))


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
    with Reader(Path(match[1])) as reader:
        return _Sample(*reader.page_sample(int(match[2])), read_settings(reader.run_info().settings).arguments)
