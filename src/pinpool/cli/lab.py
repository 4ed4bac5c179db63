"""`pinpool lab`: keep the practice site and its proxies running until Ctrl-C."""

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from pinpool.cli.options import defaulted, say, site_options
from pinpool.errors import SettingsError


@click.command(short_help="A practice site and proxies to try on.")
@defaulted("--site-port", default=8000, help="0 takes any free port.", type=click.IntRange(0, 65535))
@site_options
@click.option(
    "--faults",
    default="",
    metavar="LIST",
    help="refused,blackhole,auth,ban,drip,reset,softban,flaky,cached,sparse: one proxy each.",
)
@defaulted("--latency", default=0, help="Milliseconds for each answer.", type=click.FloatRange(0), metavar="MS")
@defaulted(
    "--dying",
    default=0,
    help="Share of the proxies that dies for good each minute, 0.2 for instance.",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
)
@click.option(
    "--write-proxies",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the list of proxies to this file.",
)
def lab(faults: str, latency: float, write_proxies: Path | None, **options: Any) -> None:
    """Keep the practice site and its proxies running until Ctrl-C, to try a spider on.

    It says what there is: films as pages, as JSON, as a feed and behind a form, a shop, files, and a page for each
    difficulty. For each of the first, `pinpool new NAME --from EXAMPLE` writes a spider that reads it.

    \b
    Example:
      pinpool lab --proxies 8 --faults refused,ban --write-proxies proxies.txt
    """
    from pinpool.files import storing
    from pinpool.lab import Lab
    from pinpool.lab.site import DIFFICULTIES, ENTRIES

    try:
        wanted = [fault.strip() for fault in faults.split(",") if fault.strip()]
        site = Lab(faults=wanted, latency=latency / 1000, **options)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        site.start()
    except OSError as error:
        hint = f"port {options['site_port']} cannot be used: {error.strerror}; choose another, or 0 for any free one"
        raise click.BadParameter(hint, param_hint="--site-port") from None
    try:
        if write_proxies is not None:
            with storing(f"--write-proxies {write_proxies}", "name another", SettingsError):
                site.write_proxies(write_proxies)
        say(f"site: {site.url}/page/1 (through its proxies also {site.named_url}/page/1)")
        for path, what, example in ENTRIES:
            say(f"page: {path:<10}  {what} (--from {example})")
        say(f"difficult: {' '.join(DIFFICULTIES)}")
        for proxy in site.proxies:
            say(f"proxy: {proxy.label}" + (f"  {proxy.fault}" if proxy.fault else ""))
        if write_proxies is not None:
            say(f"list with passwords: {write_proxies}")
        say("Ctrl-C ends it", err=True)
        sys.stdout.flush()
        threading.Event().wait()
    except KeyboardInterrupt:
        say("", err=True)
    finally:
        site.stop()
