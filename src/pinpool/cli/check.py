"""`pinpool check`: which proxies of a list work, before a crawl is built on them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinpool.cli.exit_codes import ExitCode, leave
from pinpool.cli.options import json_option, json_text
from pinpool.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pinpool.check.result import Finding
    from pinpool.model import Task
    from pinpool.proxies.proxy import ProxyList
    from pinpool.terminal.progress import Progress

LONGEST = 3600.0  # seconds


@click.command(short_help="Try each proxy of a list.")
@click.argument("proxies", required=False)
@click.option("-p", "listed", metavar="FILE", help="PROXIES, as the other commands take it.")
@click.option("--url", metavar="URL", help="What to fetch.  [https://api.ipify.org/, a public service]")
@click.option(
    "-w", "--workers", type=click.IntRange(1, 1000), help="Proxies tried at once.  [all, at most 100]"
)
@click.option(
    "--timeout",
    type=float,
    default=10.0,
    metavar="S",
    help="Seconds for one proxy, from connecting to the last byte.  [10]",
)
@json_option
@click.option(
    "--alive",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write those that work to FILE, passwords included; it is replaced only if check wrote it.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def check(
    proxies: str | None,
    listed: str | None,
    url: str | None,
    workers: int | None,
    timeout: float,
    as_json: bool,
    alive: Path | None,
    quiet: bool,
) -> None:
    """Fetch URL once through each proxy of the list PROXIES (- is stdin; without it, PINPOOL_PROXIES).

    Shows for each that it works or what is wrong, the seconds it took, and its exit address if the answer tells
    one. A proxy works if a complete answer with a status 2xx or 3xx comes through it. It has one try: a second
    would hide that it fails now and then.

    Exit code 0 if all work, 3 if some do not, 4 if none does, 130 after Ctrl-C.

    \b
    Example:
      pinpool check proxies.txt --alive good.txt
      pinpool check proxies.txt --url https://site.example/ --timeout 5 --json
    """
    from pinpool.check.alive_list import refuse
    from pinpool.check.probe import ECHO
    from pinpool.check.result import document, text
    from pinpool.proxies.source import VARIABLE, read
    from pinpool.terminal.progress import Progress

    if proxies and listed:
        raise click.UsageError("name the list once, as PROXIES or with -p")
    if not 0 < timeout <= LONGEST:  # so written, it turns away NaN as well
        raise click.BadParameter(f"from above 0 to {LONGEST:g} seconds", param_hint="--timeout")
    task, source = _task(url or ECHO), proxies or listed
    chosen = read(source, sys.stdin.buffer, os.environ)
    if alive is not None:
        refuse(alive, source or os.environ.get(VARIABLE))
    total, progress = len(chosen.proxies), Progress(sys.stderr, quiet=quiet)
    if not quiet:
        public = "" if url else " (a public service; --url names another)"
        for line in (*chosen.notes, f"checking {counted(total, 'proxy', 'proxies')} with {task.url}{public}"):
            progress.tell(line)
    findings, interrupted = _gather(chosen, task, timeout, workers, progress)
    try:
        if alive is not None:
            _keep(alive, chosen, findings, interrupted=interrupted)
    finally:
        if as_json:
            click.echo(json_text(document(task.url, findings, total)))
        else:
            click.echo(text(findings, total))
    working = sum(finding.fault is None for finding in findings)
    if interrupted:
        leave(ExitCode.INTERRUPTED)
    if not working:
        leave(ExitCode.NO_PROXY)
    leave(ExitCode.COMPLETE if working == total else ExitCode.INCOMPLETE)


def _gather(
    chosen: ProxyList, task: Task, timeout: float, workers: int | None, progress: Progress
) -> tuple[list[Finding], bool]:
    """The findings in the order of the list, and whether Ctrl-C kept the others from coming."""
    from pinpool.check.probe import AT_ONCE, check, settings_for
    from pinpool.check.result import tally

    findings: list[Finding] = []
    interrupted = False
    try:
        for finding in check(chosen.proxies, task, settings_for(timeout), workers or AT_ONCE):
            if finding is not None:
                findings.append(finding)
            progress.show(lambda: tally(findings, len(chosen.proxies)))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.close()
    place = {proxy: number for number, proxy in enumerate(chosen.proxies)}
    return sorted(findings, key=lambda finding: place[finding.proxy]), interrupted


def _keep(alive: Path, chosen: ProxyList, findings: Sequence[Finding], *, interrupted: bool) -> None:
    """Write the list of those that work, unless that would take away a better one."""
    from pinpool.check.alive_list import write
    from pinpool.text import shown_path

    working = {finding.proxy for finding in findings if finding.fault is None}
    if working and not interrupted:
        pairs = zip(chosen.proxies, chosen.entries, strict=True)
        write(alive, [entry for proxy, entry in pairs if proxy in working])
    else:
        why = "interrupted" if interrupted else "no proxy works"
        click.echo(f"{why}: {shown_path(alive)} is not written", err=True)


def _task(url: str) -> Task:
    from pinpool.tasks import request

    try:
        return request(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
