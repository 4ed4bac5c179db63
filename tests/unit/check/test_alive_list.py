"""The list that `pinpool check --alive` leaves: private, whole, and never in the place of what somebody else wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinpool.check.alive_list import MARK, refuse, write
from pinpool.errors import SettingsError, StorageError
from pinpool.proxies.parse import parse

ENTRIES = ("10.0.0.1:8080:anna:planted", "socks5h://anna:planted@10.0.0.2:1080")


def refusal(path: Path, source: str | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        refuse(path, source)
    return str(caught.value)


def test_the_list_can_be_read_again_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "good.txt"

    write(path, ENTRIES)

    assert parse(path.read_text(), "good.txt").entries == ENTRIES
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_earlier_list_of_ours_is_replaced_and_an_open_mode_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "good.txt"
    write(path, ENTRIES)
    path.chmod(0o644)

    refuse(path, str(tmp_path / "proxies.txt"))
    write(path, ENTRIES[:1])

    assert parse(path.read_text(), "good.txt").entries == ENTRIES[:1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_file_and_a_new_one_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()

    refuse(tmp_path / "empty.txt", None)
    refuse(tmp_path / "new.txt", None)

    assert not (tmp_path / "new.txt").exists()


def test_the_list_itself_is_refused_under_any_name(tmp_path: Path) -> None:
    source = tmp_path / "proxies.txt"
    source.write_text(MARK + ENTRIES[0])
    (tmp_path / "link.txt").symlink_to(source)
    os.link(source, tmp_path / "hard.txt")

    for name in ("proxies.txt", "link.txt", "hard.txt"):
        assert "is the list of proxies itself" in refusal(tmp_path / name, str(source))


@pytest.mark.parametrize("text", ["10.0.0.1:8080\n", "# my list\n", MARK[:20]])
def test_a_file_of_somebody_else_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)

    assert "holds something else" in refusal(path)
    assert path.read_text() == text


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "is not a file" in refusal(tmp_path / "pipe")
    assert "is not a file" in refusal(tmp_path)
    assert "its folder does not exist" in refusal(tmp_path / "missing" / "good.txt")
    assert "would print passwords" in refusal(Path("-"))
    assert "cannot be used" in refusal(tmp_path / ("x" * 300))


def test_a_list_in_a_variable_is_no_file_and_no_hindrance(tmp_path: Path) -> None:
    write(tmp_path / "good.txt", ENTRIES)

    refuse(tmp_path / "good.txt", " ".join(ENTRIES * 300))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").touch()
    (tmp_path / "good.txt").symlink_to(tmp_path / "real.txt")

    write(tmp_path / "good.txt", ENTRIES)

    assert (tmp_path / "good.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text().startswith(MARK)


def test_a_list_that_cannot_be_written_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    write(tmp_path / "good.txt", ENTRIES)
    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(StorageError, match="No space left on device"):
        write(tmp_path / "good.txt", ())

    assert list(tmp_path.iterdir()) == [tmp_path / "good.txt"]
    assert parse((tmp_path / "good.txt").read_text(), "").entries == ENTRIES


def test_entries_stand_as_in_the_list_without_comments_and_with_ranges_written_out() -> None:
    lines = [
        "\ufeffa.test:1:anna:planted # mine",
        "# none",
        "socks5h://u{1..2}:x@b.test:2",
        " HTTP://A.test:3/ ",
    ]

    listed = parse("\r\n".join([*lines, "a.test:1:anna:planted"]), "list")

    assert listed.entries == (
        "a.test:1:anna:planted",
        "socks5h://u1:x@b.test:2",
        "socks5h://u2:x@b.test:2",
        "HTTP://A.test:3/",
    )
    assert parse("\n".join(listed.entries), "again").proxies == listed.proxies
    assert "planted" not in repr(listed)


def test_an_entry_that_looks_like_a_range_once_more_is_written_so_that_it_is_none() -> None:
    listed = parse("http://anna:{{1..1}..3}@a.test:1", "list")

    assert [proxy.password for proxy in listed.proxies] == ["{1..3}"]
    assert parse("\n".join(listed.entries), "again").proxies == listed.proxies
