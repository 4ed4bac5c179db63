"""
The command line. `main` is all that is imported here, so that nobody loads click who does not need it.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    if sys.stderr is None:  # started with 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  for the life of the program
    # Each worker would run the console script again, a millisecond or two of it. Nothing in it is for them.
    vars(sys.modules["__main__"]).pop("__file__", None)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # A Ctrl-C during the imports ends this process without a word. `run` answers it from then on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pinpool.cli.app import run

    run()
