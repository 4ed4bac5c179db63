"""What `pinpool doctor --engine ray` sees of Ray's token and TLS, here and at the head. Nothing here needs Ray."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from certificates import Authority
from pinpool.check.ray_cluster import head_rows
from pinpool.check.ray_security import Credentials, certificate_rows, own_address, tls_rows, token_rows
from pinpool.check.row import State

HERE = "127.0.0.1"
SECRET = "5ecre7" * 8
DAY = 86_400.0


def token(folder: Path, mode: int = 0o600, text: str = SECRET) -> Mapping[str, str]:
    """The variables of a host with a token."""
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the certificates of all hosts."""
    return Authority(tmp_path)


def made(authority: Authority, *names: str) -> Credentials:
    """What a host with these names has in its files."""
    certificate, key = authority.files(*names)
    key.chmod(0o600)
    return Credentials(certificate, key, Path(authority.bundle))


def variables(files: Credentials) -> dict[str, str]:
    names = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
    return {"RAY_USE_TLS": "1"} | dict(zip(names, map(str, files), strict=True))


# The token


def test_a_cluster_over_a_network_needs_a_token_and_one_on_loopback_does_not() -> None:
    (over,) = token_rows({}, exposed=True)
    (local,) = token_rows({"RAY_AUTH_MODE": "disabled"}, exposed=False)
    (odd,) = token_rows({"RAY_AUTH_MODE": "tokens"}, exposed=False)

    assert (over.state, over.found[:29]) == (State.HINDERS, "RAY_AUTH_MODE is not token: w")
    assert (local.state, odd.state) == (State.FINE, State.WARNING)


def test_a_token_that_only_its_user_can_read_is_fine_and_never_shown(tmp_path: Path) -> None:
    for mode, state, found in [
        (0o600, State.FINE, "token, which only you can read"),
        (0o400, State.FINE, "token, which only you can read"),
        (0o644, State.WARNING, "token has mode 644: others can read it"),
        (0o640, State.WARNING, "token has mode 640: others can read it"),
    ]:
        (row,) = token_rows(token(tmp_path, mode), exposed=True)

        assert (row.state, row.found) == (state, f"{tmp_path}/{found}")
        assert SECRET not in str(row)
    assert row.todo == f"chmod 600 {tmp_path}/token"


def test_a_token_of_another_user_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = token(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    (row,) = token_rows(environ, exposed=True)

    assert row.state is State.WARNING
    assert "belongs to another user" in row.found


def test_a_token_file_that_is_empty_or_not_there_hinders(tmp_path: Path) -> None:
    (empty,) = token_rows(token(tmp_path, text="\n"), exposed=True)
    (named,) = token_rows({"RAY_AUTH_MODE": "TOKEN", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, exposed=False)
    (default,) = token_rows({"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}, exposed=True)
    (makes,) = token_rows({"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}, exposed=False)

    assert {empty.state, named.state, default.state} == {State.HINDERS}
    assert empty.found == f"{tmp_path}/token is empty"
    assert default.found == f"{tmp_path}/.ray/auth_token: No such file or directory; Ray ends its process then"
    assert makes.state is State.NOTE


def test_a_token_in_a_variable_is_a_note_without_its_text() -> None:
    (row,) = token_rows({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": SECRET}, exposed=True)

    assert row.state is State.NOTE
    assert SECRET not in str(row)


# TLS


def test_a_cluster_over_a_network_needs_tls_and_one_on_loopback_does_not() -> None:
    (over,) = tls_rows({}, True, HERE)
    (local,) = tls_rows({}, False, None)
    (forgotten,) = tls_rows({"RAY_TLS_CA_CERT": "ca.crt", "RAY_USE_TLS": "yes"}, False, None)

    assert over.found == "RAY_USE_TLS is not 1: the passwords of proxies would cross the network for others to read"
    assert (over.state, local.state, forgotten.state) == (State.HINDERS, State.FINE, State.WARNING)


def test_variables_that_are_missing_and_files_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    none = tmp_path / "none"

    rows = [*tls_rows({"RAY_USE_TLS": "True", "RAY_TLS_SERVER_KEY": str(none)}, True, HERE)]

    assert {row.state for row in rows} == {State.HINDERS}
    assert [row.found for row in rows] == [
        "RAY_USE_TLS is set, but not RAY_TLS_SERVER_CERT, RAY_TLS_CA_CERT",
        f"RAY_TLS_SERVER_KEY: {none}: No such file or directory",
    ]


def test_a_certificate_that_names_this_host_is_fine(authority: Authority) -> None:
    files = made(authority, HERE)

    (row,) = tls_rows(variables(files), True, HERE)

    assert row.state is State.FINE
    assert row.found.startswith(f"{files.certificate} names 127.0.0.1, and is valid for ")


def test_a_certificate_of_another_host_hinders(authority: Authority) -> None:
    (row,) = certificate_rows(made(authority, "192.0.2.9"), HERE)

    assert row.state is State.HINDERS
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in row.found
    assert row.todo.startswith("make this host a certificate of its own")


def test_a_certificate_that_has_ended_hinders_and_one_that_ends_soon_is_a_warning(authority: Authority) -> None:
    now = datetime.now(UTC)
    authority.not_after = now - timedelta(days=1)
    (ended,) = certificate_rows(made(authority, HERE), HERE)
    authority.not_after = now + timedelta(days=7, hours=1)
    (soon,) = certificate_rows(made(authority, HERE), HERE)

    assert (ended.state, soon.state) == (State.HINDERS, State.WARNING)
    assert "certificate has expired" in ended.found
    assert soon.found.endswith("is valid for 7 days")


def test_files_that_do_not_belong_together_hinder(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = made(Authority(tmp_path / "other"), HERE)
    mine = made(authority, HERE)

    (key,) = certificate_rows(mine._replace(key=other.key), HERE)
    (signer,) = certificate_rows(mine._replace(authority=other.authority), HERE)
    (nonsense,) = certificate_rows(mine._replace(certificate=mine.key), HERE)

    assert {key.state, signer.state, nonsense.state} == {State.HINDERS}
    assert "KEY_VALUES_MISMATCH" in key.found
    assert "unable to get local issuer certificate" in signer.found


def test_a_key_that_others_can_read_is_a_warning(authority: Authority) -> None:
    files = made(authority, HERE)
    files.key.chmod(0o644)

    loose, fine = certificate_rows(files, HERE)

    assert (loose.state, fine.state) == (State.WARNING, State.FINE)
    assert loose.todo == f"chmod 600 {files.key}"


def test_a_machine_knows_the_address_by_which_it_reaches_another() -> None:
    assert own_address("127.0.0.1") == "127.0.0.1"
    assert own_address("name.invalid") is None


# The head


@contextmanager
def listening(speak: Callable[[socket.socket], object]) -> Iterator[int]:
    """A head on a port of its own, which speaks so to each that comes, until the test is over."""

    def serve() -> None:
        while True:
            try:
                comer, _ = listener.accept()
            except OSError:
                return
            with comer, suppress(OSError):
                comer.settimeout(10)
                speak(comer)

    with socket.create_server((HERE, 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert not thread.is_alive()


def secured(files: Credentials) -> Callable[[socket.socket], object]:
    """As Ray with TLS: asks for a certificate, and speaks first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED

    def speak(comer: socket.socket) -> None:
        with context.wrap_socket(comer, server_side=True) as connection:
            connection.sendall(b"hello")
            connection.recv(1)

    return speak


def plain(comer: socket.socket) -> None:
    """As Ray without TLS: answers a greeting that it does not understand by hanging up."""
    comer.recv(1)


def found_at(port: int, environ: Mapping[str, str]) -> tuple[State, str]:
    (row,) = head_rows(HERE, port, environ)
    return row.state, row.found.removeprefix(f"{HERE}:{port}").removeprefix(": ")


def test_a_head_that_speaks_as_this_shell_does_is_fine(authority: Authority) -> None:
    files = made(authority, HERE)

    with listening(secured(files)) as port:
        assert found_at(port, variables(files)) == (State.FINE, " can be reached")
    with listening(plain) as port:
        assert found_at(port, {}) == (State.FINE, " can be reached")


def test_a_head_and_a_shell_of_which_only_one_uses_tls_do_not_understand_each_other(authority: Authority) -> None:
    files = made(authority, HERE)

    with listening(secured(files)) as port:
        assert found_at(port, {}) == (State.HINDERS, "it uses TLS, and RAY_USE_TLS is not 1 here")
    with listening(plain) as port:
        assert found_at(port, variables(files)) == (State.HINDERS, "it does not use TLS, and this shell does")


def test_a_head_with_a_certificate_of_another_host_hinders(authority: Authority) -> None:
    files = made(authority, "192.0.2.9")

    with listening(secured(files)) as port:
        state, found = found_at(port, variables(files))

    assert state is State.HINDERS
    assert found.startswith("its certificate: IP address mismatch")


def test_a_head_that_refuses_the_certificate_of_this_host_hinders(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files, other = made(authority, HERE), made(Authority(tmp_path / "other"), HERE)

    with listening(secured(files)) as port:
        mine = variables(other._replace(authority=files.authority))
        assert found_at(port, mine) == (State.HINDERS, "it does not accept the certificate of this host")


def test_a_head_that_is_not_there_hinders_and_says_how_to_start_it() -> None:
    with socket.create_server((HERE, 0)) as listener:
        port = listener.getsockname()[1]

    (row,) = head_rows(HERE, port, {})
    (unknown,) = head_rows("name.invalid", 1, {})

    assert (row.state, row.todo) == (State.HINDERS, f"on the head: `ray start --head --port={port}`")
    assert row.found == f"{HERE}:{port}: it cannot be reached: Connection refused"
    assert unknown.found == "name.invalid:1: its name is not known here"


def test_a_broken_key_of_this_shell_is_not_said_of_the_head(authority: Authority) -> None:
    files = made(authority, HERE)
    broken = variables(files._replace(key=files.certificate))

    with listening(secured(files)) as port:
        assert found_at(port, broken) == (State.FINE, " can be reached")
