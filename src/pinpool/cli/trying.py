"""`pinpool try`: one page, and what the spider would make of it. No journal, no worker."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pinpool.model import Fetched, Settings, Task
    from pinpool.spider import Spider

__all__ = ["try_"]

SHOWN_TASKS = 20


@click.command("try", short_help="Try a spider on one page.")
@click.argument("spider")
@click.argument("url", required=False)
@click.option("-p", "--proxies", metavar="FILE", help="List of proxies; the first that works is used.")
@click.option("--direct", is_flag=True, help="Fetch without a proxy, from this machine's own address.")
@click.option("--stage", help="Stage of the page.  [the seeds' stage]")
def try_(spider: str, url: str | None, proxies: str | None, direct: bool, stage: str | None) -> None:
    """Fetch one page, the first seed or URL, and show what SPIDER would make of it. Nothing is written.

    Exit code 0 if the spider made something of it, 3 if not.

    \b
    Example:
      pinpool try movies.py --direct
      pinpool try movies.py https://site.example/film/7 --stage detail -p proxies.txt
    """
    from pinpool.runs import seeds_of
    from pinpool.spider import load, parse_ref
    from pinpool.tasks import request

    if proxies and direct:
        raise click.UsageError("-p and --direct exclude each other")
    loaded = load(parse_ref(spider))
    if stage is not None and stage not in loaded.stages:
        raise click.BadParameter(
            f"{spider} has no stage {stage}; it has {', '.join(loaded.stages)}", param_hint="--stage"
        )
    loaded.check(seeds=url is None)
    task = seeds_of(loaded)[0] if url is None else seeds_of(loaded, [url])[0]
    if stage is not None:
        task = request(task.url, stage=stage)
    fetched = _fetch_direct(task, loaded.settings) if direct else _fetch(task, proxies, loaded.settings)
    if fetched is None or not _show(loaded, task, fetched):
        click.get_current_context().exit(3)


def _fetch(task: Task, source: str | None, settings: Settings) -> Fetched | None:
    """Through the first proxy of the list that is not itself at fault."""
    from pinpool.errors import FetchFailed
    from pinpool.faults import CHARGES, judge
    from pinpool.fetch import Fetcher
    from pinpool.model import Charge
    from pinpool.runs import proxies_from

    for proxy in proxies_from(source).proxies:
        fetcher = Fetcher(proxy, settings)
        try:
            fetched = fetcher.fetch(task, time.monotonic() + settings.deadline)
            click.echo(f"through {proxy.label}")
            return fetched
        except FetchFailed as failed:
            fault = judge(failed.evidence)
            click.echo(f"{proxy.label}: {fault}: {failed.evidence.message}", err=True)
            if CHARGES[fault] is not Charge.PROXY:
                return None
        finally:
            fetcher.close()
    click.echo("no proxy of the list could be used", err=True)
    return None


def _fetch_direct(task: Task, settings: Settings) -> Fetched | None:
    """From this machine's own address, because the user said so; nothing else in pinpool can do that."""
    import requests

    from pinpool.model import Fetched

    start = time.perf_counter()
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.request(
                task.method,
                task.url,
                data=task.body,
                headers={**settings.headers, **dict(task.headers)},
                timeout=(settings.connect_timeout, settings.timeout),
                stream=True,
            )
            body = answer.raw.read(settings.max_body, decode_content=True)
        except (requests.RequestException, OSError) as error:
            click.echo(f"{task.url}: {type(error).__name__}", err=True)
            return None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Fetched(answer.url, answer.status_code, headers, body, time.perf_counter() - start, len(body))


def _show(spider: Spider, task: Task, fetched: Fetched) -> bool:
    from pinpool.extract import extract
    from pinpool.faults import answer, judge
    from pinpool.model import Evidence

    click.echo(f"{fetched.status} {fetched.url}: {len(fetched.body)} bytes in {fetched.seconds:.2f} s")
    found = answer(fetched.status, spider.settings.ban_status) or extract(
        spider, task, fetched, spider.settings
    )
    if isinstance(found, Evidence):
        click.echo(f"{judge(found)}: {found.message}", err=True)
        return False
    for item in found.items:
        click.echo(json.dumps(json.loads(item), ensure_ascii=False, indent=2))
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
