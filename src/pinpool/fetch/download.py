"""
One file through one proxy: streamed to its part on disk, gone on with where an earlier attempt stopped, checked.

A cut download never passes for a whole one. The end is believed where the answer has a length, chunks, or a coding with
an end of its own. Where none of these tells it, the file has to come twice, the same.
"""

import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from pinpool.errors import FetchFailed
from pinpool.fetch.content_coding import CODINGS, Inflater, too_large
from pinpool.fetch.diagnosis import retry_after
from pinpool.fetch.fetcher import Fetcher, Received
from pinpool.fetch.file_names import file_name
from pinpool.fetch.file_types import HEAD_BYTES, type_of, why_wrong
from pinpool.fetch.part_file import Kept, PartFile, boot
from pinpool.fetch.sockets import Progress
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.policy.faults import answer as judged
from pinpool.policy.faults import is_gone
from pinpool.settings import Settings

#: The last bytes of a part are asked for again: they must be the same, or the file has changed.
OVERLAP = 4096
#: A cut connection is gone on with at once if so many bytes have come since it was made.
LEAST_GAIN = 1_000_000
#: A date of the last change says for sure that nothing has changed since, if it is so much older than the answer.
SURE_SECONDS = 60.0

_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)
_DESCRIBING = ("content-type", "content-disposition")
_CUT = frozenset({Sign.SHORT, Sign.RESET, Sign.TIMEOUT})


class Needless(BaseException):
    """Another attempt has the file, or will have it: this one ends, and nobody is to blame."""


class Wanted(NamedTuple):
    """What a file should be: the name to give it, None for that of the site, and its content types, none for any."""

    name: str | None
    types: tuple[str, ...]


class Arrived(NamedTuple):
    """A whole file. `part` is its name among the parts, `received` counts the bytes that came in this attempt."""

    part: str
    name: str
    sha256: str
    size: int
    type: str
    status: int
    received: int
    note: str


#: `received` bytes have come in this attempt, of a file of `total` bytes, None if that is unknown. May raise Needless.
Look = Callable[[int, int | None], None]


class FileAttempt:
    """One attempt to download the file of a task into `part`, through `fetcher`. `look` is called again and again."""

    def __init__(
        self, fetcher: Fetcher, task: Task, part: PartFile, wanted: Wanted, settings: Settings, look: Look
    ) -> None:
        self.received = 0
        self.status = 0  # of the latest answer
        self._fetcher = fetcher
        self._task = task
        self._part = part
        self._wanted = wanted
        self._settings = settings
        self._look = look
        self._began = time.monotonic()
        self._may_go_on = True
        self._kept: Kept | None = None  # what the request goes on with
        self._seen = ""  # the digest of a file that came whole once, as far as anybody can tell
        self._notes: list[str] = []

    def run(self) -> Arrived | Evidence | None:
        """
        The whole file, or the evidence against the answer, or None if the site says that the file is gone.

        Raises FetchFailed, StorageError, and Needless.
        """
        cuts = 0
        while True:
            before = self.received
            try:
                found = self._fetcher.stream(self._task, self._until, self._headers(), self._take)
            except FetchFailed as failed:
                # Through the same proxy: what has come stays, and each time a good deal has come.
                may_go_on = self._may_go_on and failed.evidence.step is Step.BODY and failed.evidence.sign in _CUT
                if not may_go_on or self.received - before < LEAST_GAIN or not self._resumable():
                    raise
                cuts += 1
                continue
            if not isinstance(found, _Again):
                break
        if isinstance(found, Arrived) and cuts:
            self._notes.append(f"the connection was cut {'once' if cuts == 1 else f'{cuts} times'} and gone on with")
            found = found._replace(note="; ".join(self._notes))
        return found

    @property
    def _until(self) -> float:
        """When the time is up. A file that comes fast enough has as long as it takes."""
        return self._began + self._settings.deadline + self.received / self._settings.file_speed

    # ------------------------------------------------------------------ what is asked

    def _headers(self) -> Mapping[str, str]:
        headers = {"Accept-Encoding": "identity"}
        self._kept = self._resumable() if self._may_go_on else None
        if self._kept is not None:
            headers |= {"Range": f"bytes={self._part.size - OVERLAP}-", "If-Range": self._kept.validator}
        return headers

    def _resumable(self) -> Kept | None:
        kept = self._part.kept()
        if kept is None or not kept.validator or kept.asked != self._task.url or self._part.size <= OVERLAP:
            return None
        return kept

    # ------------------------------------------------------------------ what comes

    def _take(self, answer: Received, progress: Progress) -> "Arrived | Evidence | _Again | None":
        self.status = answer.status
        if self._kept is not None and answer.status in (206, 416):
            if answer.status == 206 and self._fits(answer, self._kept):
                return self._go_on(answer, self._kept, progress)
            return self._begin_again()
        tunnelled = not self._fetcher.session.pin.asks_proxy(answer.url)
        if (evidence := judged(answer.status, self._settings.ban_status, tunnelled=tunnelled)) is not None:
            head = Fetched(answer.url, answer.status, answer.headers, b"", 0.0, 0)
            return evidence._replace(retry_after=retry_after(head))
        if is_gone(answer.status):
            return None
        if answer.status == 206:
            return Evidence(Step.PAGE, Sign.BROKEN, "a part of the file came, though all of it was asked for", 206)
        return self._take_all(answer, progress)

    def _begin_again(self) -> "_Again":
        """Ask for all of it, from the start; what has come so far is dropped when that comes."""
        self._may_go_on, self._kept = False, None
        return _Again()

    def _fits(self, answer: Received, kept: Kept) -> bool:
        """Whether the answer is the rest of the very file that the part is of."""
        found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        if found is None or answer.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            return False
        first, last, total = int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])
        etag = answer.headers.get("etag", "").strip()
        return (
            first == self._part.size - OVERLAP
            and last >= self._part.size - 1
            and (total is None or last == total - 1)
            and (total is None or kept.length is None or total == kept.length)
            and (total is not None or kept.length is None or last == kept.length - 1)
            and (answer.length is None or answer.length == last - first + 1)
            # Some servers do not know If-Range.
            and (not etag or not kept.validator.startswith('"') or etag == kept.validator)
        )

    def _go_on(self, answer: Received, kept: Kept, progress: Progress) -> "Arrived | Evidence | _Again":
        last = int(answer.headers["content-range"].partition("-")[2].partition("/")[0])
        self._note(f"gone on with at byte {self._part.size:,}")
        same, overlap = self._part.tail(OVERLAP), b""
        for piece in answer.pieces:
            self._came(piece, last + 1, progress)
            if len(overlap) < OVERLAP:
                overlap += piece
                if len(overlap) >= OVERLAP:
                    if overlap[:OVERLAP] != same:
                        self._notes.clear()
                        return self._begin_again()
                    self._store(overlap[OVERLAP:], answer.status)
            else:
                self._store(piece, answer.status)
        if len(overlap) < OVERLAP:
            return self._begin_again()
        return self._checked(answer, kept._replace(length=last + 1), is_whole=True)

    def _take_all(self, answer: Received, progress: Progress) -> "Arrived | Evidence | _Again":
        length, limit = answer.length, self._settings.max_file
        if length is not None and length > limit:
            raise too_large(limit, answer.status)
        inflater = self._inflater(answer)
        # The length that is announced is that of the body as it comes.
        total = length if inflater is None else None
        validator = _validator(answer.headers) if inflater is None else ""
        described = {name: value for name, value in answer.headers.items() if name in _DESCRIBING}
        kept = Kept(self._task.url, answer.url, validator, total, described, boot())
        self._part.restart(kept)
        is_judged = False
        for piece in answer.pieces:
            self._came(piece, length, progress)
            for data in (piece,) if inflater is None else inflater.feed(piece):
                self._store(data, answer.status)
            if not is_judged and self._part.size >= HEAD_BYTES:
                is_judged = True
                if wrong := self._wrong(kept, answer.status):
                    return wrong
        if inflater is not None and not inflater.ended:
            raise FetchFailed(Evidence(Step.BODY, Sign.SHORT, "the compressed data is cut off", answer.status))
        return self._checked(answer, kept, is_whole=answer.complete or inflater is not None)

    def _came(self, piece: bytes, total: int | None, progress: Progress) -> None:
        self.received += len(piece)
        progress.until = self._until
        self._look(self.received, total)

    def _store(self, data: bytes, status: int) -> None:
        if self._part.size + len(data) > self._settings.max_file:
            self._part.cut(0)
            raise too_large(self._settings.max_file, status)
        self._part.append(data)

    def _inflater(self, answer: Received) -> Inflater | None:
        codings = [coding.strip(' \t"').lower() for coding in answer.headers.get("content-encoding", "").split(",")]
        codings = [coding for coding in codings if coding not in ("", "identity")]
        if not codings:
            return None
        if len(codings) > 1 or codings[0] not in CODINGS:
            what = f"the file has the content coding {codings[0][:20]!r}, which was not asked for"
            raise FetchFailed(Evidence(Step.BODY, Sign.BROKEN, what, answer.status))
        # Servers call an archive by its name and its coding, as if it were to be undone. Browsers keep it.
        path = answer.url.partition("?")[0].lower()
        is_archive = path.endswith((".gz", ".tgz", ".svgz")) or "gzip" in answer.headers.get("content-type", "").lower()
        return None if is_archive else Inflater(codings[0])

    # ------------------------------------------------------------------ what it comes to

    def _checked(self, answer: Received, kept: Kept, *, is_whole: bool) -> "Arrived | Evidence | _Again":
        """The whole body came, as far as the connection can tell."""
        size = self._part.size
        if kept.length is not None and size != kept.length:
            self._part.cut(0)
            what = f"{size:,} bytes came of a file of {kept.length:,}"
            raise FetchFailed(Evidence(Step.BODY, Sign.SHORT, what, answer.status))
        if not size and not self._settings.empty_ok:
            return Evidence(Step.PAGE, Sign.EMPTY, "the file is empty", answer.status)
        if wrong := self._wrong(kept, answer.status):
            return wrong
        digest = self._part.digest(lambda: self._look(self.received, size))
        if not is_whole and digest != self._seen:
            if self._seen:
                what = "the site does not say where the file ends, and it came twice, and not the same"
                raise FetchFailed(Evidence(Step.BODY, Sign.SHORT, what, answer.status))
            self._seen = digest
            return self._begin_again()
        if not is_whole:
            self._note("the site does not say where the file ends: it came twice, the same")
        part = self._part.finish()
        if part is None:
            raise Needless
        name = file_name(self._wanted.name, kept.url, self._task.url, kept.headers, self._type(kept))
        return Arrived(part, name, digest, size, self._type(kept), answer.status, self.received, "; ".join(self._notes))

    def _wrong(self, kept: Kept, status: int) -> Evidence | None:
        wanted = self._wanted.types or self._settings.file_types
        promised = [self._wanted.name, self._task.url]
        if not (why := why_wrong(self._type(kept), wanted, [*filter(None, promised)])):
            return None
        self._part.cut(0)
        return Evidence(Step.PAGE, Sign.EMPTY, why, status)

    def _type(self, kept: Kept) -> str:
        names = [name for name in (self._wanted.name, self._task.url, kept.url) if name]
        return type_of(kept.headers.get("content-type", ""), self._part.first(HEAD_BYTES), names)

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)


class _Again:
    """The file has to be asked for once more."""


def _validator(headers: Mapping[str, str]) -> str:
    """What If-Range may be given (RFC 9110, 13.1.5); empty if the server gives nothing that is sure."""
    if headers.get("accept-ranges", "").lower() == "none":
        return ""
    if (etag := headers.get("etag", "").strip()).startswith('"'):
        return etag
    try:
        changed, now = (parsedate_to_datetime(headers[name]) for name in ("last-modified", "date"))
        return headers["last-modified"] if (now - changed).total_seconds() >= SURE_SECONDS else ""
    except (KeyError, TypeError, ValueError):
        return ""
