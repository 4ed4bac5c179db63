"""A list in a file: a new version is noticed when it is whole, and reported once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinpool.errors import ProxyListError
from pinpool.proxies.parse import parse
from pinpool.proxies.proxy import Proxy, ProxyList
from pinpool.proxies.watch import LOOK_SECONDS, SETTLE_SECONDS, WatchedList, compare

A, B, C = (f"192.0.2.{n}:80" for n in (1, 2, 3))


def labels(proxies: tuple[Proxy, ...]) -> list[str]:
    return [proxy.label.removeprefix("http://") for proxy in proxies]


class Watch:
    """A listing and the time as it passes for it."""

    def __init__(self, path: Path) -> None:
        self.listing = WatchedList(path)
        self.now = 100.0

    def look(self, after: float = LOOK_SECONDS) -> ProxyList | ProxyListError | None:
        self.now += after
        return self.listing.look(self.now)

    def settled(self) -> ProxyList | ProxyListError | None:
        """The result of a look, and of another one as soon as the file has settled."""
        assert self.look() is None
        return self.look(SETTLE_SECONDS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "proxies.txt"
    file.write_text(f"{A}\n{B}\n")
    return file


@pytest.fixture
def watch(path: Path) -> Watch:
    """A watch that has seen the file as it is."""
    made = Watch(path)
    assert isinstance(made.settled(), ProxyList)
    return made


def test_what_joined_and_what_was_withdrawn_is_found_and_nothing_else() -> None:
    present = parse(f"{A}\n{B}", "list").proxies

    change = compare(present, parse(f"# moved\n{C}\n\n{B}  # still good", "list"))

    assert labels(change.joined) == [C]
    assert labels(change.withdrawn) == [A]


def test_another_order_and_remarks_are_no_change() -> None:
    present = parse(f"{A}\n{B}", "list").proxies

    assert compare(present, parse(f"{B}  # first now\n# all\n{A}\n{A}", "list")) == ((), ())


def test_a_changed_password_is_another_proxy() -> None:
    present = parse("http://ann:old@192.0.2.1:80", "list").proxies

    change = compare(present, parse("http://ann:new@192.0.2.1:80", "list"))

    assert [proxy.password for proxy in change.joined] == ["new"]
    assert [proxy.password for proxy in change.withdrawn] == ["old"]


def test_a_new_version_is_seen_once(watch: Watch, path: Path) -> None:
    path.write_text(f"{A}\n{C}\n")

    found = watch.settled()

    assert isinstance(found, ProxyList)
    assert labels(found.proxies) == [A, C]
    assert [watch.look() for _ in range(5)] == [None] * 5


def test_it_is_seen_within_two_seconds(watch: Watch, path: Path) -> None:
    """Two looks of the loop, a tenth of a second each, come on top, and whatever a worker takes to begin."""
    path.write_text(f"{A}\n{C}\n")
    start, found = watch.now, None

    while found is None:
        found = watch.look(0.1)

    assert watch.now - start < 1.4


def test_a_file_that_is_still_being_written_is_not_read(watch: Watch, path: Path) -> None:
    with path.open("w") as file:
        for number in range(1, 6):
            file.write(f"192.0.2.{number}:80\n")
            file.flush()
            assert watch.look(SETTLE_SECONDS) is None

    found = watch.look(SETTLE_SECONDS)
    assert isinstance(found, ProxyList)
    assert len(found.proxies) == 5


def test_a_file_that_changes_while_it_is_read_is_read_again(
    watch: Watch, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(f"{A}\n")
    assert watch.look() is None
    real = os.fdopen

    def write_first(descriptor: int, mode: str) -> object:
        monkeypatch.undo()
        path.write_text(f"{A}\n{B}\n{C}\n")
        return real(descriptor, mode)

    monkeypatch.setattr("os.fdopen", write_first)

    assert watch.look(SETTLE_SECONDS) is None
    found = watch.settled()
    assert isinstance(found, ProxyList)
    assert len(found.proxies) == 3


def test_a_file_replaced_by_another_of_the_same_size_and_date_is_new(watch: Watch, path: Path) -> None:
    was = path.stat()
    other = path.with_name("other")
    other.write_text(f"{A}\n{C}\n")
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(path)

    found = watch.settled()

    assert isinstance(found, ProxyList)
    assert labels(found.proxies) == [A, C]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["proxies.txt: the list is empty"]),
        (f"{A}\nx y\nftp://z:1", ["proxies.txt:2:", "proxies.txt:3:"]),
    ],
)
def test_a_bad_version_is_reported_once_with_all_its_faults(
    watch: Watch, path: Path, text: str, words: list[str]
) -> None:
    path.write_text(text)

    found = watch.settled()

    assert isinstance(found, ProxyListError)
    assert len(found.problems) == len(words)
    assert all(word in problem for word, problem in zip(words, found.problems, strict=True))
    assert [watch.look() for _ in range(5)] == [None] * 5


def test_a_file_that_is_gone_is_reported_once_and_read_when_it_is_back(watch: Watch, path: Path) -> None:
    path.unlink()
    gone = watch.settled()
    still_gone = [watch.look() for _ in range(3)]
    path.write_text(f"{C}\n")

    back = watch.settled()

    assert isinstance(gone, ProxyListError)
    assert "No such file" in str(gone)
    assert still_gone == [None] * 3
    assert isinstance(back, ProxyList)


def test_a_file_that_is_gone_for_a_moment_only_is_not_missed(watch: Watch, path: Path) -> None:
    path.unlink()
    assert watch.look() is None
    path.write_text(f"{C}\n")

    assert watch.look(SETTLE_SECONDS) is None
    assert isinstance(watch.look(SETTLE_SECONDS), ProxyList)


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_longer_a_file_is_reported_and_never_waited_for(watch: Watch, path: Path, what: str) -> None:
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)

    found = watch.settled()

    assert isinstance(found, ProxyListError)
    assert "proxies.txt" in str(found)
    assert watch.look() is None


def test_who_insists_again_and_again_is_not_kept_waiting_for_it(watch: Watch) -> None:
    found = []
    for _ in range(7):
        watch.listing.insist()
        found.append(watch.look(SETTLE_SECONDS / 3))

    assert any(isinstance(version, ProxyList) for version in found)


def test_who_insists_gets_the_same_version_again_at_once_and_a_newer_one_when_it_has_settled(
    watch: Watch, path: Path
) -> None:
    watch.listing.insist()
    same = watch.look(0.0)
    path.write_text(f"{C}\n")
    watch.listing.insist()
    too_early = watch.look(0.0)

    newer = watch.look(SETTLE_SECONDS)

    assert isinstance(same, ProxyList)
    assert too_early is None
    assert isinstance(newer, ProxyList)
    assert labels(newer.proxies) == [C]
