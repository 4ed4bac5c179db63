"""
Everything pinpool raises.

Every error hands exactly its arguments to ``Exception.__init__``: pickle rebuilds an error from its ``args``, and
one that it cannot rebuild silently ends the pool's result thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinpool.model import Evidence


class PinpoolError(Exception):
    """The base of everything that pinpool raises on purpose, except `DeadlinePassed`."""


class UsageError(PinpoolError):
    """Wrong input; nothing was written. `problems` has a line for each, which names the file, line or key."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class SettingsError(UsageError):
    """An option or a setting has an unknown name or a value that cannot be used."""


class ProxyListError(UsageError):
    """The list of proxies is empty, missing, or has lines that cannot be read. Never contains a password."""


class SpiderError(UsageError):
    """The spider cannot be loaded or used; each problem starts with ``file:line:`` where a line is known."""


class JournalError(UsageError):
    """The journal cannot be opened, is not a journal, or belongs to another spider."""


class StorageError(PinpoolError):
    """The journal or an output file could not be written (disk full, locked, read-only). The run can be resumed."""


class NoUsableProxy(PinpoolError):
    """Every proxy of the list is retired. The run can be resumed with a better list."""


class FetchFailed(PinpoolError):
    """An exchange ended before there was a page; `evidence` says how far it came. Stays in the worker."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self.evidence = evidence


class AttemptFailed(PinpoolError):
    """
    A worker's attempt failed: the only error that crosses to the parent, which resubmits the task.

    `payload` is the packed `Outcome`. The task function makes it of bytes, so neither pickling here nor unpickling in
    the parent can fail.
    """

    def __init__(self, serial: int, payload: bytes) -> None:
        super().__init__(serial, payload)
        self.serial = serial
        self.payload = payload

    def __str__(self) -> str:
        return f"attempt {self.serial} failed"


class RemoteTraceback(PinpoolError):
    """The worker's traceback as text: the cause of a `CallFailed`, because Python prints the cause of an error."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f'\n"""\n{self.trace.rstrip()}\n"""'


class CallFailed(PinpoolError):
    """
    A function run by `PinnedPool` raised, or was given up.

    `kind` is the exception's class, a fault name, or ``closed`` if the pool was closed first. `trace` is the worker's
    traceback as text, which Python prints above the error; `arguments` are those of the call.
    """

    arguments: tuple[object, ...] = ()

    def __init__(self, kind: str, message: str, trace: str = "") -> None:
        super().__init__(kind, message, trace)
        self.kind = kind
        self.message = message
        self.trace = trace
        if trace:
            self.__cause__ = RemoteTraceback(trace)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


class DeadlinePassed(BaseException):
    """A page took longer than its deadline. ``except Exception`` in a spider or a library must not catch this."""
