"""All commands as one group. Here errors become a message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from threading import Timer
from typing import NoReturn

import click

from pinpool.cli import is_watched
from pinpool.cli.check import check
from pinpool.cli.crawl import crawl
from pinpool.cli.demo import demo
from pinpool.cli.doctor import doctor
from pinpool.cli.export import export
from pinpool.cli.failures import failures
from pinpool.cli.fetch import fetch
from pinpool.cli.guide import guide
from pinpool.cli.lab import lab
from pinpool.cli.new import new
from pinpool.cli.options import ExitCode, say
from pinpool.cli.report import report
from pinpool.cli.resume import resume
from pinpool.cli.retry import retry
from pinpool.cli.stats import stats
from pinpool.cli.try_page import try_
from pinpool.cli.tune import tune
from pinpool.cli.verify import verify
from pinpool.crawler.signals import interrupt
from pinpool.errors import NoUsableProxy, PinpoolError, UsageError

EPILOG = """\b
Exit codes: 0 complete, or --limit reached; 1 internal error, or the spider has
raised (--raise); 2 usage, spider or proxy list wrong; 3 something is missing:
more failed tasks than --max-failures, no items, or a stage that yielded nothing;
4 nothing can be fetched: no usable proxy is left, or the site does not answer;
130 interrupted. After 1, 3, 4 and 130, `pinpool resume` goes on.
"""
CODES = {UsageError: ExitCode.USAGE, NoUsableProxy: ExitCode.NO_PROXY, PinpoolError: ExitCode.INTERNAL}


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pinpool", message="%(prog)s %(version)s")
def app() -> None:
    """Scrape a paginated site through a fixed list of proxies: one process, one proxy.

    First contact, with nothing but this machine: `pinpool demo`
    """


for command in (
    new,
    crawl,
    fetch,
    resume,
    retry,
    stats,
    failures,
    verify,
    export,
    report,
    tune,
    try_,
    check,
    demo,
    lab,
    doctor,
    guide,
):
    app.add_command(command)


def run() -> NoReturn:
    """Run the command of ``sys.argv`` and exit. No error shows a traceback, unless PINPOOL_TRACEBACK is set."""
    sys.unraisablehook = _press_again
    # Otherwise the caller ignores or handles it.
    ends_us = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    try:
        try:
            if ends_us:
                signal.signal(signal.SIGINT, interrupt)
            # If the reader of our output has left, click itself exits with 1 and prints nothing.
            code = app.main(prog_name="pinpool", standalone_mode=False)
        finally:
            if ends_us:  # from here on without a traceback
                signal.signal(signal.SIGINT, signal.SIG_DFL)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes an Abort of EOFError too, as nobody answers a prompt then. We have none: nobody has interrupted.
        if isinstance(error.__cause__, EOFError):
            code = _internal(error.__cause__)
        else:
            say("interrupted", err=True)
            code = ExitCode.INTERRUPTED
    except PinpoolError as error:
        say(str(error), err=True)
        code = next(code for kind, code in CODES.items() if isinstance(error, kind))
    except Exception as error:  # noqa: BLE001  shown, or raised again
        code = _internal(error)
    sys.exit(code or ExitCode.COMPLETE)


def _internal(error: Exception) -> ExitCode:
    if any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
        # While a class is made, as by an import, Python before 3.12 wraps it in a RuntimeError.
        say("interrupted", err=True)
        return ExitCode.INTERRUPTED
    if os.environ.get("PINPOOL_TRACEBACK") or is_watched():
        raise error
    if isinstance(error, MemoryError):
        say("there is not enough memory: raise the limit (ulimit -v, or that of the container)", err=True)
        return ExitCode.INTERNAL
    shown = f"{type(error).__name__}: {error}"
    say(f"internal error: {shown}; set PINPOOL_TRACEBACK=1 to see where, and report it", err=True)
    return ExitCode.INTERNAL


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _press_again(lost: sys.UnraisableHookArgs) -> None:
    """Repeat a Ctrl-C that came where Python drops exceptions: in a weakref's callback or a `__del__`."""
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
        return
    again = Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    # Nobody waits for a daemon, and its start takes no lock that the interrupted code may hold.
    again.daemon = True
    again.start()
