"""One file through one proxy: good servers and bad ones."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from file_sites import BODY, TASK, FileSite, attempt, head
from peers import Line, Peer, saying
from pinpool.errors import FetchFailed, StorageError
from pinpool.fetch.download import LEAST_GAIN, OVERLAP, Arrived, Wanted
from pinpool.model import Evidence, Fault, Sign
from pinpool.policy.faults import fault_of
from pinpool.tasks import file_task

Answer = Callable[[Line, str], None]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return tmp_path / "files" / ".parts"


def whole(found: object, parts: Path, body: bytes = BODY) -> Arrived:
    """It is the whole file, and on disk."""
    assert isinstance(found, Arrived), found
    assert (parts / found.part).read_bytes() == body
    assert (found.sha256, found.size) == (hashlib.sha256(body).hexdigest(), len(body))
    return found


def failing(site: Callable[[Line], None], parts: Path, **settings: Any) -> Evidence:
    """The evidence of an attempt that must not give a file."""
    with Peer(site) as peer, pytest.raises(FetchFailed) as caught:
        attempt(peer.proxy(), parts, **settings)
    assert not list(parts.glob("*.whole"))
    return caught.value.evidence


def saying_file(*pieces: bytes, **headers: object) -> Answer:
    def answer(line: Line, request: str) -> None:
        line.send(head(**{"Content_Type": "application/pdf", **headers}))  # type: ignore[arg-type]
        for piece in pieces:
            line.send(piece)

    return answer


# --- a good server


def test_a_file_arrives_with_its_hash_size_type_and_name(parts: Path) -> None:
    with Peer(FileSite()) as peer:
        found = whole(attempt(peer.proxy(), parts), parts)

    assert (found.name, found.type, found.status, found.received) == ("report.pdf", "application/pdf", 200, len(BODY))
    assert found.note == ""
    assert sorted(path.suffix for path in parts.iterdir()) == [".head", ".whole"]


def test_a_file_is_asked_for_as_it_is_stored(parts: Path) -> None:
    site = FileSite()
    with Peer(site) as peer:
        attempt(peer.proxy(), parts)

    assert "Accept-Encoding: identity\r\n" in site.asked[0]
    assert "Range" not in site.asked[0]


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 200_000])
def test_a_file_in_chunks_ends_with_the_last_chunk(parts: Path, size: int) -> None:
    body = b"%PDF-1.7" * (size // 8 + 1)
    chunks = b"".join(
        b"%x;ext=1\r\n%b\r\n" % (len(body[at : at + 7001]), body[at : at + 7001]) for at in range(0, len(body), 7001)
    )
    answer = saying_file(chunks + b"0\r\n\r\n", Transfer_Encoding="chunked")
    with Peer(FileSite(answers={0: answer})) as peer:
        whole(attempt(peer.proxy(), parts), parts, body)


def test_one_connection_serves_file_after_file(parts: Path) -> None:
    site = FileSite()
    with Peer(site) as peer:
        attempt(peer.proxy(), parts)
        attempt(peer.proxy(), parts, file_task("http://site.test/other.pdf"))

    assert len(site.asked) == 2


def test_gzip_that_nobody_asked_for_is_undone_to_its_end(parts: Path) -> None:
    packed = gzip.compress(BODY)
    answer = saying_file(packed, Content_Encoding="gzip", Content_Length=len(packed))
    with Peer(FileSite(answers={0: answer})) as peer:
        whole(attempt(peer.proxy(), parts), parts)


def test_an_archive_stays_one_though_its_server_calls_it_a_coding(parts: Path) -> None:
    packed = gzip.compress(BODY)
    answer = saying_file(packed, Content_Encoding="gzip", Content_Length=len(packed), Content_Type="application/x-gzip")
    with Peer(FileSite(answers={0: answer})) as peer:
        found = attempt(peer.proxy(), parts, file_task("http://site.test/data.tar.gz"))

    assert whole(found, parts, packed).name == "data.tar.gz"


def test_a_large_file_never_lies_in_memory(parts: Path) -> None:
    body = BODY * 200  # 20 MB
    with Peer(FileSite(body)) as peer:
        tracemalloc.start()
        try:
            found = attempt(peer.proxy(), parts)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    whole(found, parts, body)
    assert peak < 5_000_000


# --- cut, and gone on with


def test_a_cut_file_is_gone_on_with_where_it_stopped(parts: Path) -> None:
    site = FileSite(first=60_000)
    with Peer(site) as peer:
        with pytest.raises(FetchFailed) as caught:
            attempt(peer.proxy(), parts)
        found = whole(attempt(peer.proxy(), parts), parts)

    assert fault_of(caught.value.evidence) is Fault.TRUNCATED
    assert f'Range: bytes={60_000 - OVERLAP}-\r\nIf-Range: "1"\r\n' in site.asked[1]
    assert found.received == len(BODY) - 60_000 + OVERLAP
    assert "gone on with at byte 60,000" in found.note


def test_a_reset_in_the_middle_is_no_end(parts: Path) -> None:
    def resetting(line: Line, request: str) -> None:
        line.send(head(Content_Length=len(BODY), ETag='"1"'))
        line.send(BODY[:60_000])
        line.reset()

    site = FileSite(answers={0: resetting})
    with Peer(site) as peer:
        with pytest.raises(FetchFailed) as caught:
            attempt(peer.proxy(), parts)
        whole(attempt(peer.proxy(), parts), parts)

    assert fault_of(caught.value.evidence) is Fault.RESET


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_sure_mark_of_its_version_a_file_starts_over(parts: Path, etag: str | None) -> None:
    site = FileSite(first=60_000, etag=etag)
    with Peer(site) as peer:
        with pytest.raises(FetchFailed):
            attempt(peer.proxy(), parts)
        whole(attempt(peer.proxy(), parts), parts)

    assert "Range" not in site.asked[1]


def test_a_file_that_has_changed_meanwhile_starts_over(parts: Path) -> None:
    site = FileSite(first=60_000)
    newer = BODY.replace(b"1.7", b"2.0")
    with Peer(site) as peer:
        with pytest.raises(FetchFailed):
            attempt(peer.proxy(), parts)
        site.body, site.etag = newer, '"2"'
        whole(attempt(peer.proxy(), parts), parts, newer)


REST = BODY[60_000 - OVERLAP :]
PLACE = f"bytes {60_000 - OVERLAP}-{len(BODY) - 1}/{len(BODY)}"


@pytest.mark.parametrize(
    ("status", "place", "etag", "rest"),
    [
        ("206 Partial Content", f"bytes 0-{len(REST) - 1}/{len(BODY)}", '"1"', REST),
        ("206 Partial Content", PLACE.replace(f"/{len(BODY)}", "/999999"), '"1"', REST),
        ("206 Partial Content", PLACE, '"2"', REST),
        ("206 Partial Content", None, '"1"', REST),
        ("206 Partial Content", "bytes 5-2/1", '"1"', REST),
        ("206 Partial Content", "nonsense", '"1"', REST),
        ("206 Partial Content", PLACE, '"1"', b"x" * len(REST)),
        ("206 Partial Content", PLACE, '"1"', REST[:100]),
        ("416 Range Not Satisfiable", f"bytes */{len(BODY)}", '"1"', b""),
    ],
    ids=["start", "total", "version", "none", "backwards", "nonsense", "other bytes", "fewer bytes", "416"],
)
def test_a_rest_that_does_not_fit_is_not_put_behind_what_came(
    parts: Path, status: str, place: str | None, etag: str, rest: bytes
) -> None:
    def odd(line: Line, request: str) -> None:
        line.send(head(status, Content_Length=len(rest), Content_Range=place, ETag=etag))
        line.send(rest)

    site = FileSite(first=60_000, answers={1: odd})
    with Peer(site) as peer:
        with pytest.raises(FetchFailed):
            attempt(peer.proxy(), parts)
        whole(attempt(peer.proxy(), parts), parts)

    assert "Range" in site.asked[1] and "Range" not in site.asked[2]


def test_a_part_that_nobody_asked_for_is_no_file(parts: Path) -> None:
    answer = saying_file(BODY[:100], status="206 Partial Content", Content_Length=100, Content_Range="bytes 0-99/100")
    with Peer(FileSite(answers={0: answer})) as peer:
        found = attempt(peer.proxy(), parts)

    assert isinstance(found, Evidence)
    assert fault_of(found) is Fault.TRUNCATED


def test_a_connection_that_brings_a_good_deal_is_gone_on_with_at_once(parts: Path) -> None:
    body = BODY * 30
    site = FileSite(body, first=LEAST_GAIN + 200_000)
    with Peer(site) as peer:
        found = whole(attempt(peer.proxy(), parts), parts, body)

    assert len(site.asked) == 2
    assert "the connection was cut once and gone on with" in found.note


def test_parts_of_another_system_start_are_not_trusted(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash of the system, bytes may be missing that had been written."""
    site = FileSite(first=60_000)
    with Peer(site) as peer:
        with pytest.raises(FetchFailed):
            attempt(peer.proxy(), parts)
        monkeypatch.setattr("pinpool.fetch.part_file.boot", lambda: "another")
        whole(attempt(peer.proxy(), parts), parts)

    assert "Range" not in site.asked[1]


# --- servers that lie


@pytest.mark.parametrize(
    "answer",
    [
        saying(head(Content_Length=len(BODY), Content_Type="application/pdf") + BODY[:-1]),
        saying(head(Transfer_Encoding="chunked") + b"5\r\n%PDF-\r\n"),
        saying(head(Transfer_Encoding="chunked") + b"5\r\n%PD"),
        saying(head(Transfer_Encoding="chunked") + b"no chunk\r\n"),
        saying(head(Content_Encoding="gzip", Connection="close") + gzip.compress(BODY)[:-9]),
        saying(head(Content_Encoding="gzip", Content_Length=50) + gzip.compress(BODY)[:50]),
        saying(head(Content_Encoding="gzip", Content_Length=len(BODY)) + BODY),
        saying(head(Content_Encoding="br", Content_Length=len(BODY)) + BODY),
    ],
    ids=["length", "last chunk", "chunk", "no chunk", "gzip", "gzip at its length", "no gzip", "brotli"],
)
def test_a_cut_file_never_passes_for_a_whole_one(parts: Path, answer: Callable[[Line], None]) -> None:
    assert fault_of(failing(answer, parts)) is Fault.TRUNCATED


def test_a_file_whose_end_nobody_tells_has_to_come_twice_the_same(parts: Path) -> None:
    endless = saying(head(Connection="close", Content_Type="application/pdf") + BODY)
    with Peer(endless) as peer:
        found = whole(attempt(peer.proxy(), parts), parts)
        assert peer.connections == 2

    assert "it came twice, the same" in found.note


def test_one_that_comes_twice_and_not_the_same_is_cut(parts: Path) -> None:
    def cutting(line: Line) -> None:
        line.head()
        line.send(head(Connection="close") + BODY[: -1000 * line.peer.connections])

    evidence = failing(cutting, parts)

    assert fault_of(evidence) is Fault.TRUNCATED
    assert "not the same" in evidence.message


@pytest.mark.parametrize(
    "answer",
    [
        saying(head(Content_Length=10**15)),
        saying(head(Connection="close") + BODY),
        saying(head(Transfer_Encoding="chunked") + b"%x\r\n" % len(BODY) + BODY),
        saying(head(Content_Encoding="gzip", Content_Length=2000) + gzip.compress(bytes(1_000_000))),
    ],
    ids=["announced", "endless", "chunked", "bomb"],
)
def test_a_file_beyond_the_limit_is_too_large_as_soon_as_that_shows(
    parts: Path, answer: Callable[[Line], None]
) -> None:
    assert fault_of(failing(answer, parts, max_file=50_000)) is Fault.TOO_LARGE
    assert sum(part.stat().st_size for part in parts.glob("*.part")) <= 50_000


@pytest.mark.parametrize("declared", ["application/pdf", "text/html", "application/octet-stream"])
def test_a_page_in_place_of_the_file_is_none(parts: Path, declared: str) -> None:
    page = b"<!doctype html><title>Log in</title>"
    answer = saying_file(page, Content_Length=len(page), Content_Type=declared)
    with Peer(FileSite(answers={0: answer})) as peer:
        found = attempt(peer.proxy(), parts)

    assert isinstance(found, Evidence)
    assert fault_of(found) is Fault.EMPTY
    assert "text/html in place of the file" in found.message


def test_a_large_page_in_place_of_the_file_is_not_read_to_its_end(parts: Path) -> None:
    page = b"<!doctype html>" + b"x" * 2000

    def endless(line: Line) -> None:
        line.head()
        line.send(head(Content_Length=10**9) + page)
        line.wait()

    with Peer(endless) as peer:
        found = attempt(peer.proxy(), parts)

    assert isinstance(found, Evidence) and found.sign is Sign.EMPTY


def test_a_file_called_a_page_is_taken_for_what_it_is(parts: Path) -> None:
    answer = saying_file(BODY, Content_Length=len(BODY), Content_Type="text/html")
    with Peer(FileSite(answers={0: answer})) as peer:
        found = whole(attempt(peer.proxy(), parts, wanted=Wanted("x", ("application/pdf",))), parts)

    assert (found.type, found.name) == ("application/pdf", "x.pdf")


def test_an_empty_file_is_none_unless_empty_is_fine(parts: Path) -> None:
    answer = saying_file(Content_Length=0)
    with Peer(FileSite(answers={0: answer, 1: answer})) as peer:
        found = attempt(peer.proxy(), parts)
        fine = attempt(peer.proxy(), parts, empty_ok=True)

    assert isinstance(found, Evidence) and fault_of(found) is Fault.EMPTY
    whole(fine, parts, b"")


@pytest.mark.parametrize(
    ("status", "fault"),
    [("403 Forbidden", Fault.BANNED), ("503 Busy", Fault.SERVER_ERROR), ("400 Bad", Fault.HTTP_ERROR)],
)
def test_a_status_means_what_it_means_for_pages(parts: Path, status: str, fault: Fault) -> None:
    answer = saying_file(b"no", status=status, Content_Length=2, Retry_After=7)
    with Peer(FileSite(answers={0: answer})) as peer:
        found = attempt(peer.proxy(), parts)

    assert isinstance(found, Evidence)
    assert (fault_of(found), found.retry_after) == (fault, 7)


def test_a_file_that_is_gone_is_gone(parts: Path) -> None:
    with Peer(FileSite(answers={0: saying_file(status="404 Not Found", Content_Length=0)})) as peer:
        assert attempt(peer.proxy(), parts) is None


# --- time


def test_a_drip_ends_with_the_deadline(parts: Path) -> None:
    def dripping(line: Line) -> None:
        line.head()
        line.send(head(Content_Length=10**6))
        line.drip(b"%PDF-", pause=0.02)

    start = time.monotonic()
    evidence = failing(dripping, parts, deadline=0.5)

    assert fault_of(evidence) is Fault.DEADLINE
    assert time.monotonic() - start < 3


def test_a_file_that_comes_fast_enough_outlasts_the_deadline(parts: Path) -> None:
    def slow(line: Line) -> None:
        line.head()
        line.send(head(Content_Length=len(BODY)))
        for at in range(0, len(BODY), 10_000):
            line.send(BODY[at : at + 10_000])
            line.peer.closing.wait(0.1)

    start = time.monotonic()
    with Peer(slow) as peer:
        whole(attempt(peer.proxy(), parts, deadline=0.5, file_speed=20_000), parts)

    assert time.monotonic() - start > 0.9


# --- the disk


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_takes_no_more_is_no_fault_of_the_proxy(
    parts: Path, fault: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(fault, os.strerror(fault))

    with Peer(FileSite()) as peer:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StorageError, match=os.strerror(fault)):
            attempt(peer.proxy(), parts)


def test_a_write_may_take_less_than_it_was_given(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with Peer(FileSite()) as peer:
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5000]))
        whole(attempt(peer.proxy(), parts), parts)


def test_the_task_is_not_asked_for_twice(parts: Path) -> None:
    """The key is that of the URL, whatever the file is to be called."""
    assert TASK.key == file_task(TASK.url, "another name", type="image/png").key
