"""``python -m pinpool``."""

import os
import sys

import pinpool


def _look_elsewhere_first() -> None:
    """
    Take the current folder off the path: a spider named json.py would stand in for Python's own module. What needs the
    folder puts it back (`spider.loader`), when all of ours is imported.
    """
    try:
        folder = os.getcwd()  # noqa: PTH109  as few imports as can be, for the same reason
    except OSError:
        return
    if sys.path[:1] == [folder] and not pinpool.__path__[0].startswith(folder):
        del sys.path[0]


if __name__ == "__main__":
    _look_elsewhere_first()
    from pinpool.cli import main

    main()
