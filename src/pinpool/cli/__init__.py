"""The command line. This package imports nothing before `main` runs: a worker must not load click."""

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    # Otherwise each worker runs the console script again, for a millisecond or two. It has nothing for workers.
    vars(sys.modules["__main__"]).pop("__file__", None)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # During the imports Ctrl-C ends this process silently. From then on `run` handles it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pinpool.files import open_closed_streams

    open_closed_streams()
    from pinpool.cli.app import run

    try:
        run()
    except SystemExit as end:
        if isinstance(end.code, int):
            _end(end.code)
        raise


def _end(code: int) -> None:
    """
    Leave as `sys.exit` does, but without clearing all modules: after a crawl that takes longer than ending its workers.

    Returns where only Python's own way will do: output that cannot be written, threads of a spider that still run, a
    debugger or a profiler around us that has something to say yet.
    """
    if is_watched():
        return
    if not all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return
    atexit._run_exitfuncs()
    with suppress(OSError, AttributeError, ValueError):  # a closed stream is None, or not open
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def is_watched() -> bool:
    """True if a debugger or a profiler runs this command, and wants to have its end, and its exceptions."""
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return True
    frame = sys._getframe()
    while frame.f_back is not None:  # pdb traces nothing as long as there is no breakpoint
        frame = frame.f_back
        if frame.f_globals.get("__name__") in ("bdb", "cProfile", "profile"):
            return True
    return False
