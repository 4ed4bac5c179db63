"""The exit codes of all commands."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

import click

from pinpool.errors import NoUsableProxy, PinpoolError, UsageError


class ExitCode(IntEnum):
    COMPLETE = 0
    INTERNAL = 1
    USAGE = 2
    INCOMPLETE = 3  # it is over, but something failed, or is missing
    NO_PROXY = 4
    INTERRUPTED = 130


#: For the help of `pinpool` itself.
EPILOG = """\b
Exit codes: 0 complete; 1 internal error; 2 usage, spider or proxy list wrong;
3 complete with more failed tasks than --max-failures; 4 no usable proxy left;
130 interrupted. After 1, 4 and 130, `pinpool resume` goes on.
"""


def code_of(error: PinpoolError) -> ExitCode:
    """The exit code of a command that ends with this error."""
    if isinstance(error, UsageError):
        return ExitCode.USAGE
    return ExitCode.NO_PROXY if isinstance(error, NoUsableProxy) else ExitCode.INTERNAL


def leave(code: ExitCode) -> NoReturn:
    """End the command with this code."""
    click.get_current_context().exit(code)
