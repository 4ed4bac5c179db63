"""
The command line. `main` is all that is imported here: workers import this module when they re-import the console
script, and must not load click for it.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    from pinpool.cli.app import run

    run()
