"""The limits of control groups, as kernels of both versions write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinpool.pool import cgroup
from pinpool.pool.cgroup import GroupLimit, cpu_quota, group_limit

NONE_V1 = str(2**63 - 4096)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroup, "OWN", tmp_path / "own")
    return tmp_path / "cgroup"


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def own(root: Path, *lines: str) -> None:
    (root.parent / "own").write_text("".join(f"{line}\n" for line in lines))


def test_without_control_groups_there_is_no_limit(root: Path) -> None:
    assert (group_limit("memory"), group_limit("pids"), cpu_quota()) == (None, None, None)


def test_a_container_of_version_2_sees_its_limits_at_the_root(root: Path) -> None:
    own(root, "0::/")
    stat = "anon 10\ninactive_file 300"
    write(root, memory__max=1000, memory__current=700, memory__stat=stat, pids__max=64, pids__current=60)
    write(root, cpu__max="150000 100000")

    assert group_limit("memory") == GroupLimit(1000, 400)  # files that the kernel can drop are not used up
    assert group_limit("pids") == GroupLimit(64, 60)
    assert cpu_quota() == 1.5


def test_of_groups_inside_each_other_the_one_with_least_room_counts(root: Path) -> None:
    own(root, "0::/user.slice/session")
    write(root / "user.slice", memory__max=500, memory__current=400)
    write(root / "user.slice" / "session", memory__max="max", memory__current=100, cpu__max="max 100000")

    assert group_limit("memory") == GroupLimit(500, 400)
    assert cpu_quota() is None


def test_version_1_has_a_tree_for_each_controller(root: Path) -> None:
    own(root, "4:memory:/docker/ab", "3:cpu,cpuacct:/docker/ab", "2:pids:/docker/ab")
    stat = "inactive_file 1\ntotal_inactive_file 50"
    write(root / "memory", memory__limit_in_bytes=1000, memory__usage_in_bytes=900, memory__stat=stat)
    write(root / "pids" / "docker" / "ab", pids__max=100, pids__current=99)
    write(root / "cpu", cpu__cfs_quota_us=50_000, cpu__cfs_period_us=100_000)

    assert group_limit("memory") == GroupLimit(1000, 850)  # the path is the host's, and not there
    assert group_limit("pids") == GroupLimit(100, 99)
    assert cpu_quota() == 0.5


def test_what_version_1_writes_for_no_limit_is_none(root: Path) -> None:
    own(root, "4:memory:/", "nonsense")
    write(root / "memory", memory__limit_in_bytes=NONE_V1, memory__usage_in_bytes=900)
    write(root / "cpu", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100_000)

    assert (group_limit("memory"), cpu_quota()) == (None, None)


def test_a_group_that_has_more_than_its_limit_has_nothing_left() -> None:
    assert GroupLimit(10, 12).left == 0
