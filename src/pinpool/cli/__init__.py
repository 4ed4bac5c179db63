"""The command line. This package imports nothing before `main` runs: a worker must not load click."""

import os
import signal
import sys


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    if sys.stderr is None:  # started with 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  for the life of the program
    # Otherwise each worker runs the console script again, for a millisecond or two. It has nothing for workers.
    vars(sys.modules["__main__"]).pop("__file__", None)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # During the imports Ctrl-C ends this process silently. From then on `run` handles it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pinpool.cli.app import run

    run()
