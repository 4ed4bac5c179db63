"""What `pinpool doctor --engine ray` sees of this machine, and what it makes of it. Nothing here needs Ray."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pinpool.check.doctor import checks
from pinpool.check.ray_cluster import host_rows, is_here, unasked_row, version_rows
from pinpool.check.ray_rows import files_row, leftover_row, loaded_rows, memory_row, python_row, wrong_versions
from pinpool.check.row import Row, State
from pinpool.errors import UsageError
from pinpool.pool.ray_address import endpoint, is_loopback
from pinpool.pool.ray_look import RayHost, RayLook, answered, look

DECLARED = ["requests>=2", "ray<3,>=2.59; extra == 'ray'", "rays>=9"]
TWO_HOSTS = (RayHost("192.0.2.2", 20), RayHost("192.0.2.3", 0), RayHost("192.0.2.4", 5))


def names(engine: str) -> set[str]:
    return {name for name, _ in checks(engine)}


def test_each_engine_is_asked_for_what_it_needs() -> None:
    assert names("inline") < names("processes") < names("ray")
    assert names("processes") - names("inline") == {"processes", "shared memory"}


# Ray and Python


def test_a_ray_that_is_missing_or_of_a_wrong_version_hinders_and_names_the_command() -> None:
    (missing,) = wrong_versions(DECLARED, None)
    (old,) = wrong_versions(DECLARED, "2.9.3")

    assert missing == Row("Ray", State.HINDERS, "is not installed", "pip install 'pinpool[ray]'")
    assert (old.state, old.found) == (State.HINDERS, "2.9.3 is installed, and pinpool needs <3,>=2.59")
    assert wrong_versions(DECLARED, "2.60.0") == []


def test_a_ray_that_cannot_be_loaded_hinders() -> None:
    (bad,) = loaded_rows(RayLook(problem="ImportError: libgomp.so.1:\ncannot open"))
    (good,) = loaded_rows(RayLook(ray="2.60.0"))

    assert (bad.state, bad.found) == (State.HINDERS, "cannot be loaded: ImportError: libgomp.so.1: cannot open")
    assert (good.state, good.found) == (State.FINE, "2.60.0: every host of a cluster needs exactly this version")


@pytest.mark.parametrize(
    ("level", "state", "words"),
    [
        (None, State.FINE, "3.11.7: every host of a cluster needs exactly this version"),
        ("minor", State.NOTE, "hosts may differ in its last number"),
        ("major", State.HINDERS, "is neither patch nor minor"),
    ],
)
def test_python_has_to_be_the_same_to_its_last_number(level: str | None, state: State, words: str) -> None:
    row = python_row("3.11.7", {"RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": level} if level else {})

    assert row.state is state
    assert words in row.found


# The machine


def test_little_shared_memory_and_few_open_files_are_warnings() -> None:
    assert memory_row(64 * 2**20).state is State.WARNING
    assert memory_row(2**30).state is State.FINE
    assert files_row(1024).todo == "`ulimit -n 65536` before `ray start`, or LimitNOFILE=65536 in its unit"
    assert {files_row(8192).state, files_row(resource.RLIM_INFINITY).state} == {State.FINE}


def test_a_file_of_a_cluster_that_is_no_more_is_a_warning_and_one_of_a_living_cluster_is_not(tmp_path: Path) -> None:
    path = tmp_path / "ray_current_cluster"
    assert list(leftover_row(path)) == []

    with socket.create_server(("127.0.0.1", 0)) as alive:
        place = f"127.0.0.1:{alive.getsockname()[1]}"
        path.write_text(place)
        assert list(leftover_row(path)) == []
    (row,) = leftover_row(path)
    path.write_text("nonsense")
    (odd,) = leftover_row(path)

    assert (row.state, row.todo) == (State.WARNING, f"rm {path}")
    assert row.found == f"{path} names a cluster that does not answer: {place}"
    assert odd.state is State.WARNING


# Where a cluster is


@pytest.mark.parametrize(
    ("text", "place"),
    [("10.0.0.1:6379", ("10.0.0.1", 6379)), ("head-1.test:1", ("head-1.test", 1)), ("[fe80::1]:80", ("fe80::1", 80))],
)
def test_an_address_is_host_and_port(text: str, place: tuple[str, int]) -> None:
    assert endpoint(text) == place


@pytest.mark.parametrize("text", ["", "auto", "10.0.0.1", "ray://10.0.0.1:1", "::1:80", "a:0", "a:65536", "a:٣"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not HOST:PORT: .* 10\.0\.0\.1:6379"):
        endpoint(text)


def test_only_addresses_that_stay_on_this_machine_are_loopback() -> None:
    loopback = {host: is_loopback(host) for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost")}

    assert set(loopback.values()) == {True}, loopback
    assert not any(map(is_loopback, ["192.0.2.1", "0.0.0.0", "name.invalid"]))


# What a cluster says


def test_the_answer_is_the_last_line_whatever_ray_says_before() -> None:
    said = 'W gcs_client.cc\n{"ray": "2.60.0", "python": "3.11.7", "hosts": [["192.0.2.2", 20]]}\n'

    assert answered(0, said) == RayLook("2.60.0", "3.11.7", (RayHost("192.0.2.2", 20),))


@pytest.mark.parametrize(
    ("code", "out", "how"), [(-6, "", "signal 6"), (1, "*** SIGABRT ***", "code 1"), (0, "[3]", "code 0")]
)
def test_a_ray_that_ends_its_process_is_told_from_one_that_answers(code: int, out: str, how: str) -> None:
    assert answered(code, out).problem == f"Ray ended its process ({how}) without an answer"


def test_a_ray_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))

    assert look("192.0.2.1:6379", 0.2) == RayLook(problem="no answer within 0.2 s")


def test_a_cluster_of_other_versions_hinders_and_says_which_ones() -> None:
    seen = RayLook("2.59.0", "3.11.9")

    ray, python = version_rows(seen, "2.60.0", "3.11.7", {})
    (relaxed,) = version_rows(seen, "2.59.0", "3.11.7", {"RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor"})
    (same,) = version_rows(seen, "2.59.0", "3.11.9", {})

    assert (ray.state, ray.found) == (State.HINDERS, "it runs Ray 2.59.0, and this host 2.60.0")
    assert (python.state, python.found) == (State.HINDERS, "it runs Python 3.11.9, and this host 3.11.7")
    assert {relaxed.state, same.state} == {State.FINE}


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        (TWO_HOSTS, {"proxy slots": "25 on 2 hosts (192.0.2.2: 20, 192.0.2.4: 5)"}),
        (TWO_HOSTS[1:2], {"proxy slots": "1 host of Ray, and none offers a slot for a proxy"}),
        (
            TWO_HOSTS[:1],
            {
                "proxy slots": "20 on 1 host (192.0.2.2: 20)",
                "this host": "it is not a host of the cluster, and Ray only waits on such a one",
            },
        ),
    ],
)
def test_slots_are_counted_and_a_machine_outside_the_cluster_is_told_so(
    hosts: tuple[RayHost, ...], found: Mapping[str, str]
) -> None:
    rows = list(host_rows(hosts, lambda address: address == "192.0.2.3"))

    assert {row.what: row.found for row in rows} == found
    assert [row.what for row in rows if row.state is State.HINDERS] == [
        what for what, text in found.items() if "none offers" in text or "not a host" in text
    ]


def test_an_address_is_of_this_machine_if_it_can_be_bound() -> None:
    assert is_here("127.0.0.1")
    assert not is_here("192.0.2.1")


def test_a_refused_token_is_told_from_a_head_that_is_ill() -> None:
    refused = unasked_row("AuthenticationError: RPC error: InvalidAuthToken")
    ill = unasked_row("no answer within 20 s")

    assert refused.found == "it does not accept the token of this shell"
    assert ill.found == "it cannot be asked: no answer within 20 s"
    assert {refused.state, ill.state} == {State.HINDERS}
