"""The group of all commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import NoReturn

import click

from pinpool.cli.check import check
from pinpool.cli.crawl import crawl
from pinpool.cli.demo import demo
from pinpool.cli.exit_codes import EPILOG, ExitCode
from pinpool.cli.export import export
from pinpool.cli.failures import failures
from pinpool.cli.lab import lab
from pinpool.cli.report import report
from pinpool.cli.resume import resume
from pinpool.cli.retry import retry
from pinpool.cli.stats import stats
from pinpool.cli.try_page import try_
from pinpool.cli.tune import tune
from pinpool.cli.verify import verify
from pinpool.errors import NoUsableProxy, PinpoolError, UsageError


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pinpool", message="%(prog)s %(version)s")
def app() -> None:
    """Scrape a paginated site through a fixed list of proxies: one process, one proxy.

    First contact, with nothing but this machine: `pinpool demo`
    """


for command in (crawl, resume, retry, stats, failures, verify, export, report, tune, try_, check, demo, lab):
    app.add_command(command)


def run() -> NoReturn:
    """Run the command of ``sys.argv`` and exit. Nothing is shown as a traceback, unless PINPOOL_TRACEBACK is set."""
    try:
        with _hearing_ctrl_c():
            # Where a reader of our output has left, click itself ends the program with 1 and without a word.
            code = app.main(prog_name="pinpool", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = ExitCode.INTERRUPTED
    except UsageError as error:
        click.echo(str(error), err=True)
        code = ExitCode.USAGE
    except NoUsableProxy as error:
        click.echo(str(error), err=True)
        code = ExitCode.NO_PROXY
    except PinpoolError as error:
        click.echo(str(error), err=True)
        code = ExitCode.INTERNAL
    except Exception as error:
        if os.environ.get("PINPOOL_TRACEBACK"):
            raise
        kind = type(error).__name__
        click.echo(
            f"internal error: {kind}: {error}; set PINPOOL_TRACEBACK=1 to see where, and report it", err=True
        )
        code = ExitCode.INTERNAL
    sys.exit(code or ExitCode.COMPLETE)


@contextmanager
def _hearing_ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt inside; before and after, it ends the process as it is, without a traceback."""
    sys.unraisablehook = _press_again
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield  # ignored, or answered by whoever called us
        return
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _press_again(lost: sys.UnraisableHookArgs) -> None:
    """Where Python cannot raise, in a weakref's callback or a `__del__`, it drops a Ctrl-C: here it comes once more."""
    if lost.exc_type is KeyboardInterrupt:
        again = Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = (
            True  # nobody waits for it, and its start takes no lock that the interrupted code may hold
        )
        again.start()
    else:
        sys.__unraisablehook__(lost)
