"""
What the engine and Ray's driver, a process of its own, say to each other; and what a carrier answers.

A carrier is an actor of Ray, a process on some host, with one worker or several. Engine and driver know it by a number.
"""

from typing import Any, Literal, NamedTuple

from pinpool.pool.lease_types import Lease

# ---------------------------------------------------------------------- engine to driver


class Spawn(NamedTuple):
    """Have a carrier with these workers, by number, as soon as a host has room."""

    carrier: int
    workers: tuple[int, ...]


class Run(NamedTuple):
    """
    Have a worker make an attempt. `place` is its place in the carrier, `pins` the number of its pin, `wait` the seconds
    until its turn at the site.
    """

    carrier: int
    place: int
    serial: int
    packed: tuple[Any, ...]
    lease: Lease
    pins: int
    wait: float


class LetGo(NamedTuple):
    """The pin of this number is over: close its connections."""

    carrier: int
    place: int
    pins: int


class Leave(NamedTuple):
    """These proxies are to be left before the next page, and no others."""

    proxies: frozenset[int]


class Kill(NamedTuple):
    """End a carrier. A `Gone` follows."""

    carrier: int


class Disband(NamedTuple):
    """End all carriers. `Disbanded` follows."""


# ---------------------------------------------------------------------- carrier to driver


class WorkerLine(NamedTuple):
    """
    A worker's line on the status board; `ago` is how many seconds ago it was written. One that hangs shows its `stack`.
    """

    place: int
    activity: int
    serial: int
    ago: float
    stack: str = ""


class Renewed(NamedTuple):
    """
    A carrier's answer to a renewal. `now` is the clock of its fence.

    `host` is how people call the machine, `address` its address in the cluster, `ground` which kernel and which space
    of pids `pid` is from. `log` are log records (`log_pipe`), `complaint` is why nothing can be done here.
    """

    now: float
    host: str
    address: str
    ground: str
    pid: int
    lines: tuple[WorkerLine, ...]
    log: bytes
    complaint: str


class Ran(NamedTuple):
    """An attempt is over: the packed outcome, and the seconds of turns at the site that it took beyond its own."""

    payload: bytes
    owed: float
    complaint: str = ""


# ---------------------------------------------------------------------- driver to engine


class Ready(NamedTuple):
    """The driver is connected to a cluster."""


class Joined(NamedTuple):
    """A carrier has answered for the first time: its workers may be given tasks."""

    carrier: int
    host: str
    pid: int


class Answer(NamedTuple):
    """An attempt is over. Without a `payload` its answer was lost, and `trouble` says why."""

    carrier: int
    place: int
    serial: int
    payload: bytes
    owed: float = 0.0
    trouble: str = ""


class Board(NamedTuple):
    """What the workers of a carrier do."""

    carrier: int
    lines: tuple[WorkerLine, ...]
    log: bytes


#: How a carrier was lost: its process has died, it was killed as asked for, or it, or its host, is out of reach.
Loss = Literal["died", "killed", "out of reach"]


class Gone(NamedTuple):
    """
    A carrier is lost. Its workers may use their proxies for another `hold` seconds. `silent` is how long it had not
    answered, `text` what Ray says.
    """

    carrier: int
    loss: Loss
    hold: float
    silent: float
    text: str


class Disbanded(NamedTuple):
    """All carriers were asked to end, and these have confirmed it."""

    carriers: frozenset[int]


class Slots(NamedTuple):
    """
    How things stand in the cluster: slots for workers, and hosts, of which one has most slots. Comes now and then, as a
    sign of life.
    """

    slots: int
    hosts: int
    most: int


class Refused(NamedTuple):
    """The run must end: `wrong` input if true, else the engine has failed. Nothing follows."""

    wrong: bool
    text: str
