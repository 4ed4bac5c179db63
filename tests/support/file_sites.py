"""A site with one file, on a real socket, that sends it well or badly; and attempts to download it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from peers import Line
from pinpool.fetch.download import Arrived, FileAttempt, Wanted
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.part_file import PartFile
from pinpool.model import Evidence, Task
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from pinpool.tasks import file_task

__all__ = ["BODY", "TASK", "FileSite", "attempt", "head"]

BODY = b"%PDF-1.7\n" + bytes(range(256)) * 400 + b"\n%%EOF\n"
ANYTHING = Wanted(None, ())
TASK = file_task("http://site.test/files/report.pdf")


def head(status: str = "200 OK", **headers: object) -> bytes:
    """The head of an answer. Underscores in header names become hyphens; None leaves one out."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


class FileSite:
    """
    The script of a peer that serves `body` to every request, or a part of it. `first` is how many bytes the first
    answer has before it is cut; `answers` may answer a request in its own way, by its number, from 0 on.
    """

    def __init__(
        self,
        body: bytes = BODY,
        *,
        etag: str | None = '"1"',
        first: int | None = None,
        answers: dict[int, Callable[[Line, str], None]] | None = None,
    ) -> None:
        self.body = body
        self.etag = etag
        self.first = first
        self.answers = answers or {}
        self.asked: list[str] = []

    def __call__(self, line: Line) -> None:
        while request := line.head():
            number = len(self.asked)
            self.asked.append(request)
            self.answers.get(number, self.serve)(line, request)
            if number == 0 and self.first is not None:
                return

    def serve(self, line: Line, request: str) -> None:
        found = re.search(r"\r\nRange: bytes=(\d+)-\r\n", request)
        wanted = re.search(r"\r\nIf-Range: ([^\r]*)\r\n", request)
        start = int(found[1]) if found and self.etag and (not wanted or wanted[1] == self.etag) else 0
        place = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}" if start else None
        rest = self.body[start:]
        line.send(
            head(
                "206 Partial Content" if start else "200 OK",
                Content_Length=len(rest),
                Content_Range=place,
                ETag=self.etag,
                Content_Type="application/pdf",
            )
        )
        line.send(rest if self.first is None or len(self.asked) > 1 else rest[: self.first])


def attempt(
    proxy: Proxy,
    folder: Path,
    task: Task = TASK,
    wanted: Wanted = ANYTHING,
    look: Callable[[int, int | None], None] = lambda received, total: None,
    **settings: object,
) -> Arrived | Evidence | None:
    """One attempt through a proxy, with `folder` for its parts."""
    chosen = Settings(**{"timeout": 5.0, "deadline": 20.0, **settings})  # type: ignore[arg-type]
    with closing(Fetcher(proxy, chosen)) as fetcher, closing(_held(folder, task)) as part:
        return FileAttempt(fetcher, task, part, wanted, chosen, look).run()


def _held(folder: Path, task: Task) -> PartFile:
    part = PartFile.hold(folder, task.key)
    assert part is not None
    return part
