"""The rows of a journal, as its writer and its readers hand them out."""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pinpool.model import Fault, Outcome, Task, TaskState

#: Where a run's settings, as JSON, have the arguments of its spider, and the address of its cluster: no setting has
#: such a name.
_ARGUMENTS, _ADDRESS = "-a", "--address"


class AttemptRow(NamedTuple):
    """One attempt: `at` is epoch seconds, `size` bytes, `proxy` None if nobody knows which it was."""

    task: int
    n: int
    proxy: int | None
    worker: int
    at: float
    seconds: float
    ending: str
    fault: str | None
    status: int | None
    size: int
    message: str | None
    charged: bool
    forgiven: bool


class ProxyRow(NamedTuple):
    """One proxy; `until` is the epoch second at which its cooling ends."""

    id: int
    label: str
    state: str
    reason: str | None
    until: float | None
    coolings: int
    listed: bool


class RunInfo(NamedTuple):
    """
    The run as a whole. `seconds` adds up all its starts. `tasks` counts done, gone, failed, waiting and in_flight,
    `pages` those that were answered: done and gone.
    """

    spider: str
    spider_ref: str
    version: str
    workers: int
    engine: str
    start_method: str | None
    settings: str
    proxies: str
    state: str
    started: float
    ended: float | None
    heartbeat: float
    seconds: float
    starts: int
    seeds: int
    worker_losses: int
    pool_rebuilds: int
    tasks: Mapping[str, int]
    pages: int
    items: int


class About(NamedTuple):
    """
    What a run starts with: `settings` is JSON text (see `settings_text`), `proxies` the source of the list, `salt` of
    its fingerprints.
    """

    spider: str
    spider_ref: str
    version: str
    workers: int
    engine: str
    start_method: str | None
    settings: str
    proxies: str
    salt: bytes


class Waiting(NamedTuple):
    """
    A task that has not ended. `attempts` count since it was last put back by `requeue`. `follows`: a page of its own
    stage has asked for it, so that it is one more page of a list.
    """

    id: int
    task: Task
    attempts: int
    not_before: float | None
    is_seed: bool = False
    follows: bool = False


class Doubted(NamedTuple):
    """
    A page in doubt that is asked for once more: `proxy` gave it, `waiting` is its task. `id` grows with each doubt.
    """

    id: int
    proxy: int
    is_index: bool
    waiting: Waiting


class Mark(NamedTuple):
    """
    How far an output file was written: `path` is absolute, bytes `base` to `bytes` hold items up to id `last_item`.

    The bytes before `base` are older than the run, and never change.
    """

    path: str
    format: str
    base: int
    bytes: int
    last_item: int


class Place(NamedTuple):
    """How far a reader has read: the ids of the last attempt, event and item."""

    attempt: int = 0
    event: int = 0
    item: int = 0


class Pulse(NamedTuple):
    """The part of `RunInfo` that needs no counting of tasks."""

    state: str
    heartbeat: float
    seconds: float
    worker_losses: int
    pool_rebuilds: int


class SampleRow(NamedTuple):
    """A page sample without its body. `url` is where the page came from in the end, `size` the bytes of its body."""

    id: int
    kind: str
    task: int
    stage: str
    url: str
    status: int
    size: int


RunEnd = Literal["complete", "interrupted", "starved", "stopped", "limited"]


class Settlement(NamedTuple):
    """
    One attempt and the decision on it. With `state` None the task waits, until `not_before` (epoch seconds) at least.

    `charged` says whether the fault is charged to the proxy. A done task may have a `reason` too: why an outcome that
    is not a success was believed.
    """

    task_id: int
    outcome: Outcome
    fault: Fault | None
    charged: bool
    state: TaskState | None
    reason: str | None = None
    not_before: float | None = None


class Recorded(NamedTuple):
    """What a start was given: settings that replace the spider's, arguments of the spider, the address of a cluster."""

    settings: dict[str, Any]
    arguments: tuple[tuple[str, str], ...]
    address: str | None


def settings_text(
    settings: Mapping[str, object], arguments: tuple[tuple[str, str], ...] = (), address: str | None = None
) -> str:
    """What a start was given, as the journal has it; see `Recorded`."""
    kept = dict(settings)
    if arguments:
        kept[_ARGUMENTS] = dict(arguments)
    if address is not None:
        kept[_ADDRESS] = address
    return json.dumps(kept, default=dict)


def read_settings(text: str) -> Recorded:
    """The inverse of `settings_text`."""
    settings = json.loads(text)
    arguments, address = settings.pop(_ARGUMENTS, {}), settings.pop(_ADDRESS, None)
    return Recorded(settings, tuple(arguments.items()), address)
