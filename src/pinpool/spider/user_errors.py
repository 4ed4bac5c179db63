"""Describes exceptions of the user's code: what was raised, in which file, on which line."""

import os
from itertools import dropwhile
from pathlib import Path
from traceback import StackSummary, TracebackException, walk_tb

from pinpool.errors import DeadlinePassed, UsageError
from pinpool.model import Task
from pinpool.text import shown_url


class UnusableYield(Exception):
    """What a stage makes of a page cannot be stored or requested. Its text is the whole message, place included."""


class UnwantedPage(UnusableYield):
    """The page lacks what every page of its stage has, as block pages do. Its text is the whole message."""


_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_EXAMPLES = f"{_OURS}examples{os.sep}"
#: How the note begins that tells in which page the user's code has raised an exception.
_RAISED = "raised while the spider read"


def note_page(error: BaseException, task: Task, proxy: str) -> None:
    """Let the exception's traceback say in which page it was raised; `proxy` is shown, so without a password."""
    error.add_note(f"{_RAISED} {shown_url(task.url)} (stage {task.stage}) through {proxy}; the page waits")


def is_from_page(error: BaseException) -> bool:
    """True if `note_page` has seen it."""
    return any(note.startswith(_RAISED) for note in getattr(error, "__notes__", ()))


def page_trace(error: BaseException) -> str:
    """The traceback from the first line of the user's code on. All of it if there is none: the fault is ours."""
    shown = TracebackException.from_exception(error)
    theirs = [*dropwhile(lambda frame: is_ours(frame.filename), shown.stack)]
    if theirs or isinstance(error, UnusableYield):  # that has a note with the line
        shown.stack = StackSummary.from_list(theirs)
    return "".join(shown.format()).rstrip()


def shown_file(path: str) -> str:
    """The path, relative if it is below the current folder."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def line_inside(error: BaseException, file: str) -> int | None:
    """The innermost line of `file` in the traceback of `error`."""
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return lines[-1] if lines else None


def last_place(error: BaseException, module: str) -> tuple[str, str]:
    """The innermost file of `module` or its packages in the traceback, and the place in it as ``file:line``."""
    parts = tuple(module.split("."))
    place = ("", module)
    for frame, line in walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        path = Path(file).with_suffix("")
        tail = path.parent.parts if path.name == "__init__" else path.parts
        if any(tail[-n:] == parts[:n] for n in range(1, len(parts) + 1)):
            place = (file, f"{shown_file(file)}:{line}")
    return place


def is_ours(file: str) -> bool:
    """True for a file of this package, other than the example spiders."""
    return file.startswith(_OURS) and not file.startswith(_EXAMPLES)


def described(error: BaseException) -> str:
    """The class and the text of an exception. Only DeadlinePassed is raised here."""
    try:
        text = str(error)
    except DeadlinePassed:
        raise
    except BaseException:  # noqa: BLE001  its __str__ is the user's code as well
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def problems_in(error: BaseException, file: str, where: str) -> list[str]:
    """The problems behind an exception that was raised while `file` was imported, a line each."""
    if isinstance(error, UsageError):
        prefix = f"{shown_file(file)}:"
        return [problem if problem.startswith(prefix) else f"{where}: {problem}" for problem in error.problems]
    if isinstance(error, SyntaxError) and error.filename and error.lineno and Path(error.filename).is_file():
        return [f"{shown_file(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}"]
    if isinstance(error, SystemExit):
        return [f"{where}: the file exits while it is imported (SystemExit)"]
    return [f"{where}: {described(error)}"]
