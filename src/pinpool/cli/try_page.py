"""`pinpool try`: one page, and what the spider would make of it. No journal, no worker."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pinpool.fetch.fetcher import Fetcher
    from pinpool.model import Evidence, Fetched, Task
    from pinpool.proxies.proxy import ProxyList
    from pinpool.settings import Settings
    from pinpool.spider.extraction import Extracted
    from pinpool.spider.spider import Spider

SHOWN_TASKS = 20

#: DEL, C1 controls, bidi overrides: JSON need not escape them, and with them a site could drive the terminal.
_DRIVING = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@click.command("try", short_help="Try a spider on one page.")
@click.argument("spider")
@click.argument("url", required=False)
@click.option("-p", "--proxies", metavar="FILE", help="List of proxies; the first that works is used.")
@click.option("--direct", is_flag=True, help="Fetch without a proxy, from this machine's own address.")
@click.option("--stage", help="Stage of the page.  [the seeds' stage]")
@click.option(
    "--page",
    metavar="RUN.db:ID",
    help="Take a page that a run has kept, see `pinpool failures`; fetch nothing.",
)
def try_(
    spider: str, url: str | None, proxies: str | None, direct: bool, stage: str | None, page: str | None
) -> None:
    """Fetch one page, the first seed or URL, and show what SPIDER would make of it. Nothing is written.

    Exit code 0 if the spider made something of it, 3 if not.

    \b
    Example:
      pinpool try movies.py --direct
      pinpool try movies.py https://site.example/film/7 --stage detail -p proxies.txt
      pinpool try movies.py --page movies.db:3
    """
    from pinpool.crawler.api import seeds_of
    from pinpool.spider.loader import load
    from pinpool.spider.ref import parse_ref

    if proxies and direct:
        raise click.UsageError("-p and --direct exclude each other")
    if page and (proxies or direct or url):
        raise click.UsageError("--page fetches nothing: leave -p, --direct and URL out")
    loaded = load(parse_ref(spider))
    if stage is not None and stage not in loaded.stages:
        raise click.BadParameter(
            f"{spider} has no stage {stage}; it has {', '.join(loaded.stages)}", param_hint="--stage"
        )
    loaded.check(seeds=url is None and page is None)
    if page is not None:
        found = _on_kept(loaded, page, stage)
        if found is None or not _show(found):
            click.get_current_context().exit(3)
        return
    task = seeds_of(loaded)[0] if url is None else seeds_of(loaded, [url])[0]
    if stage is not None:
        task = task._replace(stage=stage)
    found = _directly(loaded, task) if direct else _through(loaded, task, _listed(proxies))
    if found is None or not _show(found):
        click.get_current_context().exit(3)


def _listed(source: str | None) -> ProxyList:
    from pinpool.errors import ProxyListError
    from pinpool.proxies.source import VARIABLE, proxies_from

    try:
        return proxies_from(source)
    except ProxyListError as error:
        if source is not None or os.environ.get(VARIABLE):
            raise
        raise ProxyListError(f"{error}; or do without any: --direct") from None


def _through(spider: Spider, task: Task, listed: ProxyList) -> Extracted | None:
    """What comes through the first proxy of the list that works, or nothing if the page or the site is at fault."""
    from pinpool.fetch.fetcher import Fetcher
    from pinpool.fetch.session import first_profile
    from pinpool.model import Charge, Evidence
    from pinpool.policy.faults import CHARGES, judge

    for proxy in listed.proxies:
        fetcher = Fetcher(proxy, spider.settings, first_profile(spider.settings))
        try:
            fetched, found = _attempt(spider, task, fetcher, tunnelled=proxy.scheme.startswith("socks"))
        finally:
            fetcher.close()
        if fetched is not None:
            click.echo(f"through {proxy.label}")
            _tell(fetched, found)
        if not isinstance(found, Evidence):
            return found
        fault = judge(found)
        click.echo(f"{proxy.label}: {fault}: {found.message}", err=True)
        if CHARGES[fault] in (Charge.PAGE, Charge.SITE):
            return None
    click.echo("no proxy of the list could be used", err=True)
    return None


def _directly(spider: Spider, task: Task) -> Extracted | None:
    """From this machine's own address, because the user said so; nothing else in pinpool can do that."""
    from pinpool.model import Evidence
    from pinpool.policy.faults import judge

    fetcher = _Direct(spider.settings)
    try:
        fetched, found = _attempt(spider, task, fetcher, tunnelled=True)
    finally:
        fetcher.close()
    if fetched is not None:
        _tell(fetched, found)
    if not isinstance(found, Evidence):
        return found
    click.echo(f"{judge(found)}: {found.message}", err=True)
    return None


def _on_kept(spider: Spider, place: str, stage: str | None) -> Extracted | None:
    """What the spider makes of a kept page, ``JOURNAL:ID``."""
    from pinpool.errors import DeadlinePassed
    from pinpool.journal.reader import Reader
    from pinpool.model import Evidence, Sign, Step
    from pinpool.policy.faults import judge
    from pinpool.pool.deadline import limit
    from pinpool.spider.extraction import read
    from pinpool.text import one_line, shown_path

    journal, _, number = place.rpartition(":")
    if not journal or not number.isdecimal() or not number.isascii():
        raise click.BadParameter(f"{shown_path(place)!r} is not RUN.db:ID", param_hint="--page")
    with Reader(journal) as reader:
        task, fetched = reader.page(int(number))
    task = task if stage is None else task._replace(stage=stage)
    click.echo(f"{fetched.status} {one_line(fetched.url)}: {len(fetched.body)} bytes, stage {task.stage}")
    if len(fetched.body) < fetched.size:
        click.echo(f"the page was cut when it was kept: it had {fetched.size:,} bytes", err=True)
    settings, found = spider.settings, None
    try:
        with limit(settings.deadline):
            found = read(spider, task, fetched, settings, tunnelled=True)
    except DeadlinePassed:
        found = Evidence(Step.EXTRACT, Sign.DEADLINE, f"took longer than {settings.deadline:g} s")
    if not isinstance(found, Evidence):
        return found
    click.echo(f"{judge(found)}: {found.message}", err=True)
    return None


def _attempt(
    spider: Spider, task: Task, fetcher: Fetcher | _Direct, *, tunnelled: bool
) -> tuple[Fetched | None, Extracted | Evidence | None]:
    """
    The answer, if one came, and what the spider makes of it: None if the page is gone or forbidden.

    `tunnelled` says that even on plain http it is the site that answers.
    """
    from pinpool.crawler.page_job import ask_robots, warm
    from pinpool.errors import DeadlinePassed, FetchFailed
    from pinpool.fetch.robots import FORBIDDEN
    from pinpool.model import Evidence, Sign, Step
    from pinpool.pool.deadline import limit
    from pinpool.spider.extraction import read

    settings, step, fetched = spider.settings, Step.HEAD, None
    late = f"took longer than {settings.deadline:g} s"
    try:
        with limit(settings.deadline):
            until = time.monotonic() + settings.deadline
            warm(spider, fetcher.session)
            agent = str(fetcher.session.headers.get("User-Agent") or "")
            if settings.robots and not ask_robots(fetcher, task.url, until).allow(task.url, agent):
                click.echo(f"{task.url}: {FORBIDDEN}; in a crawl it would count as gone", err=True)
                return None, None
            fetched = fetcher.fetch(task, until)
            step = Step.EXTRACT
            by_site = tunnelled or fetched.url.startswith("https:")
            return fetched, read(spider, task, fetched, settings, tunnelled=by_site)
    except FetchFailed as failed:
        evidence = failed.evidence
        return None, evidence._replace(message=late) if evidence.sign is Sign.DEADLINE else evidence
    except DeadlinePassed:
        return fetched, Evidence(step, Sign.DEADLINE, late)


class _Direct:
    """What a Fetcher does, without a proxy."""

    def __init__(self, settings: Settings) -> None:
        import requests

        from pinpool.fetch.session import DEFAULT_HEADERS, first_profile

        self._settings = settings
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = settings.ca_bundle or True
        self.session.max_redirects = settings.max_redirects
        self.session.headers.clear()
        self.session.headers.update(DEFAULT_HEADERS)
        self.session.headers.update(settings.headers)
        self.session.headers.update(first_profile(settings))

    def close(self) -> None:
        self.session.close()

    def fetch(self, task: Task, until: float) -> Fetched:
        """The complete answer to `task`. Raises FetchFailed. That it ends by `until` is left to the alarm."""
        import requests
        from urllib3.exceptions import HTTPError

        from pinpool.errors import FetchFailed
        from pinpool.fetch.diagnosis import diagnose, evidence_of
        from pinpool.fetch.fetcher import CHUNK
        from pinpool.model import Evidence, Fetched, Sign, Step

        settings, step, body, start = self._settings, Step.HEAD, bytearray(), time.monotonic()
        try:
            with self.session.request(
                task.method,
                task.url.partition("#")[0],
                data=task.body,
                headers=dict(task.headers),
                timeout=(settings.connect_timeout, settings.timeout),
                stream=True,
            ) as answer:
                step = Step.BODY
                for chunk in answer.iter_content(CHUNK):
                    body += chunk
                    if len(body) > settings.max_body:
                        told = f"the body is larger than {settings.max_body:,} bytes"
                        raise FetchFailed(Evidence(step, Sign.TOO_LARGE, told, answer.status_code))
        except requests.TooManyRedirects as error:
            raise FetchFailed(evidence_of(error) or diagnose(error, step, late=False)) from None
        except (requests.RequestException, HTTPError, OSError) as error:
            raise FetchFailed(diagnose(error, step, late=False)) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        seconds = time.monotonic() - start
        return Fetched(answer.url, answer.status_code, headers, bytes(body), seconds, len(body))


def _tell(fetched: Fetched, found: Extracted | Evidence | None) -> None:
    click.echo(f"{fetched.status} {fetched.url}: {len(fetched.body)} bytes in {fetched.seconds:.2f} s")
    if found is None:
        click.echo("gone: the site says that there is no such page", err=True)


def _show(found: Extracted) -> bool:
    for item in found.items:
        text = json.dumps(json.loads(item), ensure_ascii=False, indent=2)
        click.echo(_DRIVING.sub(lambda driving: f"\\u{ord(driving[0]):04x}", text))
    for child in found.tasks[:SHOWN_TASKS]:
        click.echo(f"{child.stage}: {child.method} {child.url}")
    if len(found.tasks) > SHOWN_TASKS:
        click.echo(f"... and {len(found.tasks) - SHOWN_TASKS} more tasks")
    click.echo(f"{len(found.items)} items, {len(found.tasks)} tasks")
    if found.empty:
        click.echo(
            "nothing extracted: in a crawl this page would be tried elsewhere before it is believed", err=True
        )
    return not found.empty
