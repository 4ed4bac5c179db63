"""`pinpool doctor --engine ray` beside a real cluster."""

from __future__ import annotations

import secrets

import pytest

from commands import Desk, Said
from ray_hosts import Cluster

pytestmark = pytest.mark.ray


def rows(said: Said) -> dict[str, tuple[str, str]]:
    """What was looked at, how it is, and in words."""
    return {row["what"]: (row["state"], row["found"]) for row in said.json()["rows"]}


def test_versions_and_slots_are_those_of_the_cluster(desk: Desk, ray_cluster: Cluster) -> None:
    hosts = ray_cluster.have(2)

    said = desk.run("doctor", "--engine", "ray", "--address", ray_cluster.address, "--json")

    found = rows(said)
    assert said.code == 0, said.out
    assert found["Ray's head"] == ("fine", f"{ray_cluster.address} can be reached")
    assert found["Ray's cluster"][1].endswith("as here")
    assert all(f"{host.address}: " in found["proxy slots"][1] for host in hosts)
    assert found["Ray's token"][1].endswith("which only you can read")


def test_a_token_of_another_cluster_is_refused_and_said_so(desk: Desk, ray_cluster: Cluster) -> None:
    other = desk.write("token", secrets.token_hex(32))
    other.chmod(0o600)

    said = desk.run(
        "doctor", "--engine", "ray", "--address", ray_cluster.address, "--json", RAY_AUTH_TOKEN_PATH=str(other)
    )

    assert said.code == 3
    assert rows(said)["Ray's cluster"] == ("hinders", "it does not accept the token of this shell")
