"""
A machine of its own as far as its network goes: a namespace of Linux with two cables to ours. For root only.

Over one cable it is a host of the cluster. Over the other it reaches the outer world, so a worker that is cut off from
its parent could go on fetching.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from crawling import PATIENCE

__all__ = ["Machine", "can_make_machines", "machine"]

#: A neighbour that is not there. Whatever is sent to it is dropped without a word.
NOBODY = "02:00:00:00:00:01"


def can_make_machines() -> bool:
    return shutil.which("ip") is not None and os.geteuid() == 0


class Machine:
    """Both ends of both cables have addresses of the range for tests of networks (198.18.0.0/15)."""

    def __init__(self) -> None:
        number = os.getpid() % 125 * 2
        self.name = f"pinpool-{os.getpid()}"
        self._cables = {f"pp{os.getpid() % 10**6}{end}": f"198.19.{number + end}" for end in (0, 1)}
        self.net, self._outer_net = self._cables.values()

    @property
    def address(self) -> str:
        """Its address in the cluster."""
        return f"{self.net}.2"

    @property
    def world(self) -> str:
        """The address by which it reaches what the cluster has no part in."""
        return f"{self._outer_net}.1"

    def command(self, *words: str) -> list[str]:
        """A command as it is run there."""
        return ["ip", "netns", "exec", self.name, *words]

    def build(self) -> None:
        """Lay the cables. We have the addresses that end in 1 and 3 to 9, it has that which ends in 2."""
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        for cable, net in self._cables.items():
            _ip("link", "add", cable, "type", "veth", "peer", "name", cable, "netns", self.name)
            _ip("-n", self.name, "addr", "add", f"{net}.2/24", "dev", cable)
            for last in (1, *range(3, 10)):
                _ip("addr", "add", f"{net}.{last}/24", "dev", cable)
            _ip("link", "set", cable, "up")
            _ip("-n", self.name, "link", "set", cable, "up")

    def tear_down(self) -> None:
        """Remove all of it, also what was only half built."""
        for words in (*(["link", "del", cable] for cable in self._cables), ["netns", "del", self.name]):
            with suppress(subprocess.CalledProcessError):
                _ip(*words)

    def cut(self) -> None:
        """From now on whatever either side sends over the cable of the cluster vanishes."""
        for before, neighbour in self._ends():
            _ip(*before, "neigh", "replace", neighbour, "lladdr", NOBODY, "dev", self._cable, "nud", "permanent")

    def heal(self) -> None:
        """The end of `cut`."""
        for before, neighbour in self._ends():
            _ip(*before, "neigh", "del", neighbour, "dev", self._cable)

    @property
    def _cable(self) -> str:
        return next(iter(self._cables))

    def _ends(self) -> list[tuple[list[str], str]]:
        ours = [f"{self.net}.{last}" for last in (1, *range(3, 10))]
        return [([], self.address), *((["-n", self.name], address) for address in ours)]


@contextmanager
def machine() -> Iterator[Machine]:
    made = Machine()
    try:
        made.build()
        yield made
    finally:
        made.tear_down()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=PATIENCE)
