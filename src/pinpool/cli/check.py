"""`pinpool check`: which proxies of a list work, before a crawl relies on them."""

import os
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpool.cli.options import PATH, ExitCode, checked_by, defaulted, json_option, json_text, leave, say
from pinpool.settings.values import number
from pinpool.text import counted, shown_path
from pinpool.urls import clean_url

if TYPE_CHECKING:
    from pinpool.check.result import Finding
    from pinpool.proxies.proxy import Proxy


@click.command(short_help="Try each proxy of a list.")
@click.argument("proxies", required=False)
@click.option("-p", "listed", metavar="FILE", help="PROXIES, as the other commands take it.")
@click.option(
    "--url",
    callback=checked_by(clean_url),
    metavar="URL",
    help="What to fetch.  [https://api.ipify.org/, a public service]",
)
@click.option("-w", "--workers", type=click.IntRange(1, 1000), help="Proxies tried at once.  [all, at most 100]")
@defaulted(
    "--timeout",
    default="10",
    help="Seconds for one proxy, from connecting to the last byte.",
    callback=checked_by(number(0, 3600, above=True)),
    metavar="S",
)
@json_option
@click.option(
    "--alive",
    type=PATH,
    metavar="FILE",
    help="Write those that work to FILE, passwords included; check replaces only what it wrote.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def check(proxies: str | None, url: str | None, alive: Path | None, **options: Any) -> None:
    """Fetch URL once through each proxy of the list PROXIES (- is stdin; without it, PINPOOL_PROXIES).

    For each proxy it shows that it works or what is wrong, the seconds it took, and its exit address if the answer
    holds one. A proxy works if a complete answer with a status 2xx or 3xx comes through it. It has one try: a second
    would hide that it fails now and then.

    Exit code 0 if all work, 3 if some do not, 4 if none does, 130 after Ctrl-C.

    \b
    Example:
      pinpool check proxies.txt --alive good.txt
      pinpool check proxies.txt --url https://site.example/ --timeout 5 --json
    """
    from pinpool.check import probe, result
    from pinpool.check.alive_list import refuse, write
    from pinpool.proxies.source import VARIABLE, read
    from pinpool.tasks import request
    from pinpool.terminal.progress import Progress

    if proxies and options["listed"]:
        raise click.UsageError("name the list once, as PROXIES or with -p")
    source, public = proxies or options["listed"], "" if url else " (a public service; --url names another)"
    task = request(url or probe.ECHO)
    chosen = read(source, sys.stdin.buffer, os.environ)
    if alive is not None:
        refuse(alive, source or os.environ.get(VARIABLE))
    total, progress = len(chosen.proxies), Progress(sys.stderr, quiet=options["quiet"])
    if not options["quiet"]:
        for line in (*chosen.notes, f"checking {counted(total, 'proxy', 'proxies')} with {task.url}{public}"):
            progress.tell(line)
    settings, at_once = probe.settings_for(options["timeout"]), options["workers"] or probe.AT_ONCE
    found: dict[Proxy, Finding] = {}
    with closing(progress), suppress(KeyboardInterrupt):
        for finding in probe.check(chosen.proxies, task, settings, at_once):
            if finding is not None:
                found[finding.proxy] = finding
            progress.show(lambda: result.tally(list(found.values()), total))
    findings = [found[proxy] for proxy in chosen.proxies if proxy in found]
    working = [finding.proxy for finding in findings if finding.fault is None]
    if len(findings) < total:
        code, why = ExitCode.INTERRUPTED, "interrupted"
    elif not working:
        code, why = ExitCode.NO_PROXY, "no proxy works"
    else:
        code, why = ExitCode.COMPLETE if len(working) == total else ExitCode.INCOMPLETE, ""
    try:
        if alive is not None and why:
            say(f"{why}: {shown_path(alive)} is not written", err=True)
        elif alive is not None:
            entries = dict(zip(chosen.proxies, chosen.entries, strict=True))
            write(alive, [entries[proxy] for proxy in working])
    finally:
        document = result.document(task.url, findings, total)
        say(json_text(document) if options["as_json"] else result.text(findings, total))
    leave(code)
