"""What an exception of the user's code says, and where it was raised."""

from __future__ import annotations

from pathlib import Path

from pinpool.errors import UsageError
from pinpool.spider.ref import shown_file


def line_inside(error: BaseException, file: str) -> int | None:
    """The innermost line of `file` on the way to where `error` was raised."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def problems_in(error: BaseException, file: str, where: str) -> list[str]:
    """What an exception of the user's code says, a line for each problem it brings."""
    if isinstance(error, UsageError):
        return [
            problem if problem.startswith(f"{shown_file(file)}:") else f"{where}: {problem}"
            for problem in error.problems
        ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno and Path(error.filename).is_file():
        return [f"{shown_file(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}"]
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  also somebody else's __str__
        text = ""
    if isinstance(error, SystemExit):
        return [f"{where}: the file leaves by SystemExit while it is loaded"]
    return [f"{where}: {type(error).__name__}: {text}" if text else f"{where}: {type(error).__name__}"]
