"""Which hosts may have leases, with the passwords of proxies."""

from __future__ import annotations

import socket

import pytest

from pinpool.pool.ray_cluster import DriverPlan, Unfit, connect, may_have_leases

TLS, TOKEN = {"RAY_USE_TLS": "1"}, {"RAY_AUTH_MODE": "token"}


@pytest.fixture(autouse=True)
def no_settings_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TLS, *TOKEN):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.3", "::1", "localhost"])
def test_within_this_machine_they_travel_as_they_are(address: str) -> None:
    may_have_leases("here", address)


@pytest.mark.parametrize("settings", [{}, TLS, TOKEN, {**TOKEN, "RAY_USE_TLS": "0"}], ids=str)
def test_another_machine_gets_none_without_both_tls_and_a_token(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unfit, match=r"the host far \(192\.0\.2\.5\) may not have the passwords") as refused:
        may_have_leases("far", "192.0.2.5")
    assert refused.value.is_wrong_input


def test_with_both_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TLS, **TOKEN}.items():
        monkeypatch.setenv(name, value)
    may_have_leases("far", "192.0.2.5")


@pytest.mark.parametrize("address", ["auto", "ray://127.0.0.1:10001", "127.0.0.1", ":6379"])
def test_an_address_is_that_of_a_head(address: str) -> None:
    with pytest.raises(Unfit, match="is not HOST:PORT: name the head") as refused:
        connect(DriverPlan(address, 1, None, "", b""))
    assert refused.value.is_wrong_input


def test_nobody_at_the_address_is_said_at_once() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(Unfit, match=f"no Ray cluster at {address}: Connection refused; is its head up"):
            connect(DriverPlan(address, 1, None, "", b""))
