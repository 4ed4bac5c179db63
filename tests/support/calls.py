"""Functions for a PinnedPool to call: at the top level of a module, where workers can import them."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from pinpool import proxy, session
from pinpool.pool.this_worker import pinned

__all__ = [
    "Stubborn",
    "crash",
    "double",
    "double_but_zero",
    "echo",
    "fetch",
    "generator",
    "hold",
    "leave",
    "links",
    "login",
    "nap",
    "place",
    "raise_for",
    "raise_login",
    "sleep",
    "stubborn",
]


def double(number: int) -> int:
    return 2 * number


def double_but_zero(number: int) -> int:
    return double(number) if number else raise_for("0")


def fetch(url: str) -> tuple[int, str]:
    """(length of the page, the URL) through the pin of this worker."""
    answer = session().get(url)
    answer.raise_for_status()
    return len(answer.content), url


def links(url: str) -> list[str]:
    """The addresses of the films on a list page."""
    return re.findall(r'href="(/detail/[0-9]+)"', session().get(url).text)


def login(pause: float = 0.0) -> str:
    """The name of this worker's proxy, after so many seconds."""
    time.sleep(pause)
    return proxy()


def raise_login() -> NoReturn:
    """Shows what must never be shown."""
    raise ValueError(f"the login is {pinned().lease.address.url}")


def echo(*arguments: object, **named: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return arguments, named


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def place(seconds: float) -> tuple[int, int, int]:
    """(process, thread, proxy) of this worker, after so many seconds."""
    time.sleep(seconds)
    return os.getpid(), threading.get_native_id(), pinned().lease.proxy


def raise_for(what: str) -> NoReturn:
    raise LookupError(f"no {what} here")


def leave() -> NoReturn:
    sys.exit("had enough")


def crash() -> NoReturn:
    os._exit(3)


def sleep() -> None:
    time.sleep(3600)


def generator() -> object:
    """Something that cannot be pickled."""
    return (number for number in range(3))


def hold(folder: Path) -> str:
    """Leaves a file in `folder`, and returns once that has one named go."""
    folder.joinpath(f"call-{pinned().lease.proxy}").touch()
    while not folder.joinpath("go").exists():
        time.sleep(0.02)
    return "done"


class Stubborn:
    """Travels to the parent, and cannot be made again there."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _refuse, ("I stay here",)


def stubborn() -> Stubborn:
    return Stubborn()


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)
