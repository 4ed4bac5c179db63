"""
The words that the parts of pinpool say to each other: plain values, no behaviour.

Whatever crosses a process boundary is a NamedTuple of str, bytes, numbers, None and tuples of these. Such a value can
always be pickled and always be unpickled, which a live exception or an lxml element cannot.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

#: The stage of all tasks that download a file. No spider declares it.
FILE_STAGE = "file"


class Fault(StrEnum):
    """How an attempt failed. The names are a contract: stats, failures, reports and metrics all use them."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    PROXY_AUTH = "proxy_auth"
    TUNNEL = "tunnel"
    PROXY_TLS = "proxy_tls"
    CONNECT_TIMEOUT = "connect_timeout"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    RESET = "reset"
    TRUNCATED = "truncated"
    BANNED = "banned"
    EMPTY = "empty"
    SLOW = "slow"
    DNS = "dns"
    TLS = "tls"
    SERVER_ERROR = "server_error"
    HTTP_ERROR = "http_error"
    TOO_LARGE = "too_large"
    REDIRECTS = "redirects"
    EXTRACT = "extract"
    CRASH = "crash"
    HANG = "hang"


class Charge(StrEnum):
    """To whom a fault is charged. `OPEN` means that proxy and page are both suspects until others have tried."""

    PROXY = "proxy"
    DOUBTFUL = "doubtful"
    OPEN = "open"
    SITE = "site"
    PAGE = "page"
    WORKER = "worker"


class Step(StrEnum):
    """How far an exchange had come when it ended."""

    CONNECT = "connect"  # TCP to the proxy
    PROXY = "proxy"  # TLS with the proxy, SOCKS greeting and login
    TUNNEL = "tunnel"  # CONNECT, or the SOCKS request for the site
    TLS = "tls"  # TLS with the site
    HEAD = "head"  # request sent, waiting for status line and headers
    BODY = "body"  # headers there, body not complete
    PAGE = "page"  # the whole answer is there
    EXTRACT = "extract"  # in the spider's code
    WORKER = "worker"  # the worker process itself


class Sign(StrEnum):
    """What was seen at that step."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    RESET = "reset"  # closed or reset by the other side
    SHORT = "short"  # fewer bytes than announced
    BROKEN = "broken"  # not HTTP, or a body that cannot be decompressed
    AUTH = "auth"  # credentials refused or missing
    STATUS = "status"  # an answer with a status that is no page
    NAME = "name"  # a host name that does not resolve
    TLS = "tls"  # handshake or certificate
    TOO_LARGE = "too_large"
    REDIRECTS = "redirects"
    BAN = "ban"
    EMPTY = "empty"
    RAISED = "raised"
    CRASH = "crash"
    HANG = "hang"


class Evidence(NamedTuple):
    """The facts of a failed attempt, before anybody judges them. `message` never holds a password."""

    step: Step
    sign: Sign
    message: str = ""
    status: int | None = None
    retry_after: float | None = None  # seconds, as the answer asked for, not yet clamped


class Task(NamedTuple):
    """
    One request at one stage. Its identity is `key`, a 16 byte digest of stage, method, canonical URL and body, the same
    in every run. `data` is JSON text handed on from the page that asked for this task.
    """

    stage: str
    url: str
    key: bytes
    method: str = "GET"
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    data: str | None = None


class Assignment(NamedTuple):
    """
    A task on its way to a worker, which declines it, unread, if its pin is in `avoid`. With `exchange` it first asks
    for a spare that is not in `avoid`: no other worker holds one.
    """

    task: Task
    avoid: tuple[int, ...] = ()
    exchange: bool = False


class Call(NamedTuple):
    """A pickled call on its way to a worker, which declines it, unread, if its pin is in `avoid`."""

    blob: bytes
    avoid: tuple[int, ...] = ()


class Fetched(NamedTuple):
    """
    A complete answer. `headers` has lower-case names; `body` is decompressed; `size` counts the body's bytes as they
    came over the wire; `seconds` runs from the first byte sent to the last received. `note` says what was wrong with
    the answer but could be forgiven.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    size: int
    note: str = ""


class PageSample(NamedTuple):
    """
    A page on which extraction failed, stored so that a selector can be mended. `kind` is that of the failure, `headers`
    a JSON object, `body` compressed by zlib and perhaps cut, `size` the bytes of the whole body before that.
    """

    kind: str
    url: str
    status: int
    headers: str
    body: bytes
    size: int


class Ending(StrEnum):
    """How an attempt ended, as the worker saw it."""

    OK = "ok"
    GONE = "gone"  # 404, 410: an answer, not a failure
    FAILED = "failed"
    OVERTAKEN = "overtaken"  # another attempt of the task was faster; its own answer is dropped
    DECLINED = "declined"  # not tried: this pin has tried the task before
    RESUMED = "resumed"  # a parked worker has a proxy again; the attempt itself was settled before
    UNSTORED = "unstored"  # a file could not be written on this machine: the run has to end; `note` says why


class Download(NamedTuple):
    """
    A file that a worker has downloaded whole, but that the parent has not put into its place yet.

    `part` is its name in the run's folder of parts, `name` the one that it should have, `data` what its item holds
    besides, as a JSON object. `size` is bytes.
    """

    part: str
    name: str
    sha256: str
    size: int
    type: str
    data: str = "{}"


class Outcome(NamedTuple):
    """
    What a worker says of one attempt. `at` is epoch seconds, `items` are JSON objects as text, `size` is bytes.
    `unasked` says why a page that was never requested counts as gone (robots.txt); then `proxy` is -1. `note` is that
    of the answer, as in `Fetched`. `digest` tells one body from another (`policy.one_body`), 0 if there is none.
    `fields` names those that have a value in some item (`policy.missing_fields`).
    """

    serial: int
    worker: int
    proxy: int
    ending: Ending
    at: float
    seconds: float
    status: int | None = None
    size: int = 0
    evidence: Evidence | None = None
    swapped: bool = False
    items: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    result: bytes | None = None  # of a function run by PinnedPool: what it returned, pickled, or its traceback
    unasked: str = ""
    sample: PageSample | None = None
    note: str = ""
    digest: int = 0
    fields: str = ""
    file: Download | None = None


class FailedAttempt(NamedTuple):
    """
    One failed attempt of a task. `proxy` is None if it is unknown or not on this start's list. `site_down`: the whole
    site seemed to be down, so that the failure counts against nobody. `error` is what the spider's code raised, and
    where. `gone`: the proxy says that there is no such page, but was not believed.
    """

    proxy: int | None
    fault: Fault
    site_down: bool = False
    error: str = ""
    gone: bool = False


class TaskState(StrEnum):
    """The state of a task in the journal. A task that has not ended waits, in flight or not."""

    WAITING = "waiting"
    DONE = "done"
    GONE = "gone"
    FAILED = "failed"


class ProxyState(StrEnum):
    """The state of a proxy. `proxies.lifecycle` says which moves lead from one to another."""

    SPARE = "spare"
    PINNED = "pinned"
    COOLING = "cooling"
    RETIRED = "retired"


class EventKind(StrEnum):
    """What an event reports, as stored in the journal. The first eight are moves of a proxy (`proxies.lifecycle`)."""

    LEASED = "leased"  # a worker pins the proxy
    RETURNED = "returned"  # the worker is done with it
    LOST = "lost"  # its worker has died
    FAULTED = "faulted"  # taken out for its faults
    RESTED = "rested"  # its cooling is over
    EXHAUSTED = "exhausted"  # trying it again is of no use
    WITHDRAWN = "withdrawn"  # no longer on the list
    JOINED = "joined"  # on the list, for the first time or again
    WORKER_LOST = "worker_lost"  # `detail`: what it was doing
    REBUILT = "rebuilt"  # a new pool of workers; `detail`: why
    PAUSED = "paused"  # the circuit breaker has opened; `detail`: why
    CONTINUED = "continued"  # the site answers again
    STAGE_STOPPED = "stage_stopped"  # its first pages have all yielded nothing; `detail`: which stage
    FOUND_OUT = "found_out"  # a proxy shows something else than others do; `detail`: which, and what follows
    STARVED = "starved"  # nothing can be fetched any more; `detail`: why, and what to do about it
    OVERLAP = "overlap"  # a list page shows what the page before it has shown; `detail`: `journal.overlaps.Overlap`
    LATE = "late"  # an outcome for a task that had ended already
    RULES = "rules"  # at each start; `detail`: the spider's settings that `tune` needs, as JSON
    MEASURED = "measured"  # at the end; `detail`: the resources used, as JSON
    WORKED = "worked"  # at the end; `detail`: the utilization of the workers, as JSON


class Event(NamedTuple):
    """
    Something worth recording that is not an attempt. `at` is epoch seconds. Read from a journal, `kind` is a plain
    string, and may be one that only another version of pinpool knows.
    """

    at: float
    kind: EventKind
    proxy: int | None = None
    worker: int | None = None
    detail: str = ""
