"""The part of a file on disk: one attempt writes to it at a time, and a late one harms nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinpool.errors import StorageError
from pinpool.fetch.part_file import SLOTS, Kept, PartFile, boot

KEY = bytes(range(16))
KEPT = Kept("http://a.test/1", "http://a.test/1", '"1"', 5, {}, boot())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files" / ".parts"


@pytest.fixture
def part(folder: Path) -> Iterator[PartFile]:
    held = hold(folder)
    yield held
    held.close()


def hold(folder: Path) -> PartFile:
    held = PartFile.hold(folder, KEY)
    assert held is not None
    return held


def filled(part: PartFile, data: bytes = b"hello") -> PartFile:
    part.restart(KEPT)
    part.append(data)
    return part


def digest(part: PartFile) -> str:
    return part.digest()


def test_two_attempts_at_once_never_share_a_part(folder: Path, part: PartFile) -> None:
    with hold(folder) as second:
        assert (part.slot, second.slot) == (0, 1)
        assert second.first_is_held
        assert not part.first_is_held


def test_the_next_attempt_goes_on_with_what_the_last_one_has_left(folder: Path, part: PartFile) -> None:
    filled(part).close()

    with hold(folder) as second:
        assert (second.slot, second.size, second.kept()) == (0, 5, KEPT)
        second.append(b" you")
        assert digest(second) == hashlib.sha256(b"hello you").hexdigest()


def test_bytes_of_which_nobody_knows_what_they_are_of_are_of_no_use(folder: Path, part: PartFile) -> None:
    filled(part)
    for head in folder.glob("*.head"):
        head.write_text('{"half":')

    assert part.kept() is None


def test_a_whole_file_has_a_name_of_its_own_that_no_later_attempt_touches(folder: Path, part: PartFile) -> None:
    name = filled(part).finish()

    with hold(folder) as second:
        filled(second, b"other")
        assert name is not None
        assert (folder / name).read_bytes() == b"hello"
        assert second.slot == 0


def test_a_late_attempt_notices_that_its_task_has_ended(folder: Path, part: PartFile) -> None:
    filled(part)
    for left in folder.iterdir():
        left.unlink()

    assert part.removed
    assert part.finish() is None
    assert list(folder.iterdir()) == []


def test_when_all_slots_are_held_there_is_none(folder: Path) -> None:
    held = [hold(folder) for _ in range(SLOTS)]

    assert PartFile.hold(folder, KEY) is None
    for one in held:
        one.close()


def test_a_cut_part_is_hashed_anew(part: PartFile) -> None:
    filled(part, b"hello world").cut(5)

    assert digest(part) == hashlib.sha256(b"hello").hexdigest()
    assert (part.first(2), part.tail(2)) == (b"he", b"lo")


@pytest.mark.parametrize("in_the_way", ["file", "link"])
def test_what_stands_in_the_place_of_the_folder_is_refused(tmp_path: Path, in_the_way: str) -> None:
    place = tmp_path / "files" / ".parts"
    place.parent.mkdir()
    if in_the_way == "file":
        place.write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="cannot be written"):
        PartFile.hold(place, KEY)


def test_a_link_in_the_place_of_a_part_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (folder / f"{KEY.hex()}-0.part").symlink_to(mine)

    with pytest.raises(StorageError):
        PartFile.hold(folder, KEY)
    assert mine.read_text() == "precious"
