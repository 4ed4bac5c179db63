"""
What every child process of a run does first: ignore the terminal's signals, and never outlive the parent.

A busy worker and the Manager would survive the parent's SIGKILL for ever (hazard 7 of the pool research).
`PR_SET_PDEATHSIG` does not help: that signal is bound to the thread that forked.
"""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, process, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from pinpool.files import temporary_folder
from pinpool.proxies.source import VARIABLE
from pinpool.spider.loader import put_first

#: The parent asks a hung worker for its stack by this signal; faulthandler answers in C, without the GIL.
STACK_SIGNAL = getattr(signal, "SIGUSR1", None)
CAN_DUMP = STACK_SIGNAL is not None and hasattr(faulthandler, "register")
_LOOK_SECONDS = 5.0
#: With a text in it, Python does not look for modules in the current folder.
_SAFE_PATH, _OURS = "PYTHONSAFEPATH", "pinpool"
#: The thread of a pool that replaces workers starts children, too.
_one_at_a_time = threading.RLock()
#: What a terminal, its end, or a service manager sends to every process of a run.
_STOPPING = {getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)}

# Another tracker starts at once, and on Linux a run has nothing that it tracks: no news for anybody.
warnings.filterwarnings("ignore", "resource_tracker: process died unexpectedly", UserWarning)


def leave_signals_to_parent() -> None:
    """
    Do nothing at Ctrl-C, SIGTERM and SIGHUP: a terminal and a service manager send them to the parent, too, and that
    alone answers them. Programs that a spider starts do not inherit this, as they would a signal that is ignored.
    """
    for number in _STOPPING:
        signal.signal(number, _leave_to_parent)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def _leave_to_parent(number: int, frame: FrameType | None) -> None:
    pass


def never_outlive_parent(hang_seconds: float | None = None) -> None:
    """
    Start a thread that ends this process at once when the parent is dead.

    A C loop that keeps the GIL would stop that thread. So on Linux the kernel ends the process as well. And with
    `hang_seconds` the thread restarts a CPU timer again and again: a loop that keeps the GIL longer than that ends
    with SIGPROF, whether the parent lives or not.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    has_timer = hang_seconds is not None and hasattr(signal, "ITIMER_PROF")

    def watch() -> None:
        while True:
            if has_timer:
                # Well after the parent's own kill, which leaves a stack and a reason.
                signal.setitimer(signal.ITIMER_PROF, (hang_seconds or 0.0) + 3 * _LOOK_SECONDS)
            if wait([parent.sentinel], _LOOK_SECONDS):
                os._exit(1)

    if sys.platform == "linux":
        _end_at_hang_up(parent.sentinel)
    if has_timer:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    threading.Thread(target=watch, name="pinpool-guard", daemon=True).start()


def _end_at_hang_up(pipe: int) -> None:
    """Make the kernel send SIGIO, which ends this process, when the other end of `pipe` is closed."""
    import fcntl

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def end_if_starting() -> None:
    """
    End this process if it is a child that is still starting: it imports its parent's script, which starts a crawl
    without the ``__name__`` guard. The parent reports, once, that no worker came up.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)


def dump_stack_to(path: Path) -> None:
    """Write the stacks of all threads to `path` whenever the parent sends `STACK_SIGNAL`."""
    if STACK_SIGNAL is not None and CAN_DUMP:
        # faulthandler keeps the descriptor as long as the process lives, so nothing may close it.
        faulthandler.register(
            STACK_SIGNAL, file=os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        )


def forget(child: BaseProcess) -> None:
    """
    Do not wait for this child at the end of this process. multiprocessing would, without a deadline, also for one that
    cannot be killed, or whose end a stopped forkserver does not report.
    """
    getattr(process, "_children", set[BaseProcess]()).discard(child)


def own_folder() -> Path:
    """
    The folder for all temporary files of this process, those of multiprocessing too: if it is killed, the next run
    removes it.
    """
    folder = temporary_folder()
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["tempdir"] = config.get("tempdir") or str(folder)
    return folder


def warm_up(preload: Sequence[str]) -> None:
    """
    Start the forkserver, where there is one, and let it import the modules `preload` that workers need.

    It is a process of its own: called before your own imports, both take the time of one.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload(["pinpool.pool.quiet_server", *preload, "pinpool.pool.preload"])
        own_folder()
        # No spider needs the passwords of a list.
        with _changed(VARIABLE, None), starting_children():
            forkserver.ensure_running()


@contextmanager
def safe_path() -> Iterator[None]:
    """
    For a block that starts a child: it does not look for modules in the current folder or in that of the spider, where
    a file named json.py would stand in for Python's own. When it loads the spider, it puts that folder back.
    """
    with _one_at_a_time:
        before = sys.path
        sys.path = [folder for folder in before if folder not in put_first]
        try:
            with _changed(_SAFE_PATH, _OURS):
                yield
        finally:
            sys.path = before


def forget_safe_path() -> None:
    """What a spider starts is its own affair."""
    if os.environ.get(_SAFE_PATH) == _OURS:
        del os.environ[_SAFE_PATH]


@contextmanager
def starting_children() -> Iterator[None]:
    """For a block that starts children: with a safe path, and with the signals that end a run kept from them."""
    with safe_path(), _keep_signals_from_children():
        yield


@contextmanager
def _changed(variable: str, text: str | None) -> Iterator[None]:
    """Change a variable of the environment while processes start; None takes it away. One of the user's stays."""
    before = os.environ.get(variable)
    if text is None:
        os.environ.pop(variable, None)
    else:
        os.environ.setdefault(variable, text)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before


@contextmanager
def _keep_signals_from_children() -> Iterator[None]:
    """
    Block the signals that end a run in this thread while children start, so that they inherit them blocked.

    For the forkserver and the resource tracker they stay blocked: a SIGHUP to all would end them, and with them the
    pool. Ignoring the signals here instead would lose some; a blocked one is only delivered later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        # Starting the tracker unblocks SIGINT and SIGTERM by itself (before 3.13), so it must run already.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
