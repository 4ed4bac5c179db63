"""Seeds as tasks: checked all at once, and kept without memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.spider.seeds import Seeds, read_files, read_seeds, seeds_of
from pinpool.spider.spider import Spider
from pinpool.tasks import file_task, request

SITE = "http://site.example"


def many(number: int) -> Iterator[Task]:
    return (request(f"{SITE}/{n}", data={"n": n}) for n in range(number))


@pytest.mark.parametrize("number", [0, 1, 1000, 30_000])
def test_seeds_can_be_read_again_and_again_in_their_order(number: int) -> None:
    seeds = Seeds(many(number))

    assert all(list(seeds) == list(many(number)) for _ in range(2))


def test_many_seeds_lie_in_a_file_that_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million would take 400 MB, and whatever has a name outlives a kill."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    seeds = Seeds(many(50_000))

    file: Any = seeds._file
    assert file._rolled
    assert list(tmp_path.iterdir()) == []


def test_seeds_that_find_no_room_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pinpool.spider.seeds.pickle.dump", full)

    with pytest.raises(UsageError, match="No space left"):
        Seeds(many(1))


def test_every_bad_seed_is_named_wherever_it_is() -> None:
    spider = Spider(name="films", seeds=[f"{SITE}/1", "ftp://a", f"{SITE}/2", "b"])

    with pytest.raises(SpiderError) as refused:
        seeds_of(spider)

    assert [line.split()[1] for line in str(refused.value).splitlines()] == ["'ftp://a'", "'b'"]


def test_a_file_of_seeds_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = f"\ufeff{SITE}/1\r\n\n # not one\n  {SITE}/2".encode()
    (tmp_path / "seeds.txt").write_bytes(text)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))

    from_file, from_stdin = read_seeds(str(tmp_path / "seeds.txt"), "index"), read_seeds("-", "index")

    assert [task.url for task in from_file] == [f"{SITE}/1", f"{SITE}/2"]
    assert list(from_stdin) == list(from_file)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_bytes(f"{SITE}/1\n".encode() * 9000 + b"\xff")

    with pytest.raises(UsageError, match="not UTF-8"):
        read_seeds(str(tmp_path / "seeds.txt"), "index")


def test_a_list_of_files_may_name_them(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(f"# reports\n{SITE}/1.pdf\n{SITE}/2.pdf\tSecond report.pdf\n")

    files = list(read_files(str(tmp_path / "urls.txt")))

    assert files == [file_task(f"{SITE}/1.pdf"), file_task(f"{SITE}/2.pdf", "Second report.pdf")]


def test_a_bad_list_of_files_is_named_with_each_line(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(f"{SITE}/1.pdf\nftp://a\nb\n")

    with pytest.raises(SpiderError, match=r"(?s)urls\.txt:2: .*urls\.txt:3: "):
        read_files(str(tmp_path / "urls.txt"))
    with pytest.raises(UsageError, match=r"nowhere\.txt cannot be read"):
        read_files(str(tmp_path / "nowhere.txt"))
