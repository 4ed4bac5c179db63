"""What `pinpool doctor --engine ray` sees of Ray's token and of its TLS, as the variables of this shell set them."""

import os
import socket
import ssl
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pinpool.check.row import Row, State
from pinpool.pool.ray_address import endpoint, is_loopback, uses_tls, uses_token
from pinpool.text import counted, one_line, shown_path

GUIDE = "`pinpool guide cluster` shows how"
#: The certificate and key of a host, and the certificate of the authority that signed all of them.
TLS_FILES = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
_DAY = 86_400
_SOON = 14  # days
#: A handshake takes three rounds.
_ROUNDS = 10


def security_rows(address: str | None) -> Iterator[Row]:
    """Token and TLS. A cluster that is reached over a network needs both; a Ray on loopback needs neither."""
    host = endpoint(address)[0] if address else "127.0.0.1"
    exposed = not is_loopback(host)
    yield from token_rows(os.environ, exposed)
    yield from tls_rows(os.environ, exposed, own_address(host) if exposed else None)


def own_address(host: str) -> str | None:
    """The address of this machine by which it reaches `host`. Nothing is sent."""
    with suppress(OSError):
        family, kind, number, _, place = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as asking:
            asking.connect(place)
            return str(asking.getsockname()[0])
    return None


# The token


def token_rows(environ: Mapping[str, str], exposed: bool) -> Iterator[Row]:
    """Whether there is a token that only this user can read. Its text is not shown."""
    what = "Ray's token"
    if not uses_token(environ):
        if exposed:
            found = "RAY_AUTH_MODE is not token: whoever reaches the cluster can run programs on all its hosts"
            yield Row(what, State.HINDERS, found, f"RAY_AUTH_MODE=token on every host; {GUIDE}")
        elif environ.get("RAY_AUTH_MODE", "disabled").lower() != "disabled":
            found = "RAY_AUTH_MODE is neither token nor disabled, which Ray takes for disabled"
            yield Row(what, State.WARNING, found, "RAY_AUTH_MODE=token")
        else:
            yield Row(what, State.FINE, "RAY_AUTH_MODE is not token: enough on this machine alone, not for other hosts")
    elif environ.get("RAY_AUTH_TOKEN"):
        found = "RAY_AUTH_TOKEN is set: every program that you start can read it"
        yield Row(what, State.NOTE, found, "put it into a file of mode 600, and name that in RAY_AUTH_TOKEN_PATH")
    else:
        named = environ.get("RAY_AUTH_TOKEN_PATH")
        path = Path(named) if named else Path(environ.get("HOME", "~")).expanduser() / ".ray" / "auth_token"
        if not named and not exposed and not path.exists():
            found = f"{shown_path(path)} is not there: Ray makes it, and others can read it"
            yield Row(what, State.NOTE, found, f"umask 077; mkdir -p ~/.ray; openssl rand -hex 32 > {shown_path(path)}")
        else:
            yield from token_file_rows(path)


def token_file_rows(path: Path) -> Iterator[Row]:
    what, shown = "Ray's token", shown_path(path)
    try:
        empty = not path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        found = f"{shown}: {error.strerror}; Ray ends its process then"
        yield Row(what, State.HINDERS, found, f"copy the token of the cluster there; {GUIDE}")
        return
    if empty:
        yield Row(what, State.HINDERS, f"{shown} is empty", f"copy the token of the cluster there; {GUIDE}")
        return
    yield from private_rows(what, path) or [Row(what, State.FINE, f"{shown}, which only you can read")]


def private_rows(what: str, path: Path) -> list[Row]:
    """A row if somebody else can read a file that is there, or owns it."""
    status, shown = path.stat(), shown_path(path)
    rows = []
    if loose := stat.S_IMODE(status.st_mode) & 0o077:
        found = f"{shown} has mode {stat.S_IMODE(status.st_mode):o}: others can {'read' if loose & 0o044 else 'use'} it"
        rows.append(Row(what, State.WARNING, found, f"chmod 600 {shown}"))
    if status.st_uid != os.geteuid():
        found = f"{shown} belongs to another user (uid {status.st_uid})"
        rows.append(Row(what, State.WARNING, found, f"chown it to the user that runs Ray here (uid {os.geteuid()})"))
    return rows


# TLS


class Credentials(NamedTuple):
    """The files of `TLS_FILES`."""

    certificate: Path
    key: Path
    authority: Path


def credentials(environ: Mapping[str, str]) -> Credentials | None:
    """The files that these variables name; None if TLS is not used, or one is missing."""
    named = [environ.get(name) for name in TLS_FILES]
    return Credentials(*map(Path, filter(None, named))) if uses_tls(environ) and all(named) else None


def tls_rows(environ: Mapping[str, str], exposed: bool, here: str | None) -> Iterator[Row]:
    """Whether Ray's TLS can work on this host, whose address is `here`."""
    what = "Ray's TLS"
    missing = [name for name in TLS_FILES if not environ.get(name)]
    if not uses_tls(environ):
        if exposed:
            found = "RAY_USE_TLS is not 1: the passwords of proxies would cross the network for others to read"
            yield Row(what, State.HINDERS, found, f"RAY_USE_TLS=1 and its three files on every host; {GUIDE}")
        elif len(missing) < len(TLS_FILES):
            yield Row(what, State.WARNING, "its files are named, but RAY_USE_TLS is not 1", "RAY_USE_TLS=1")
        else:
            yield Row(what, State.FINE, "RAY_USE_TLS is not 1: enough on this machine alone, not for other hosts")
        return
    if missing:
        yield Row(what, State.HINDERS, f"RAY_USE_TLS is set, but not {', '.join(missing)}", GUIDE)
    unreadable = [*_unreadable_rows(environ)]
    yield from unreadable
    files = credentials(environ)
    if files and not unreadable:
        yield from certificate_rows(files, here)


def _unreadable_rows(environ: Mapping[str, str]) -> Iterator[Row]:
    for name in TLS_FILES:
        if named := environ.get(name):
            try:
                Path(named).read_bytes()
            except OSError as error:
                found = f"{name}: {shown_path(named)}: {error.strerror}"
                yield Row("Ray's TLS", State.HINDERS, found, "put the file of this host there")


def certificate_rows(files: Credentials, here: str | None, now: float | None = None) -> Iterator[Row]:
    """Whether these files fit each other, are valid, and name this host."""
    what = "Ray's TLS"
    yield from private_rows(what, files.key)
    try:
        ends = _handshake(files, here)
    except ssl.SSLCertVerificationError as error:
        found = f"{shown_path(files.certificate)}: {one_line(error.verify_message)}"
        yield Row(what, State.HINDERS, found, f"make this host a certificate of its own; {GUIDE}")
        return
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        found = f"certificate, key and authority do not fit each other: {one_line(reason)}"
        yield Row(what, State.HINDERS, found, f"make this host a certificate of its own; {GUIDE}")
        return
    days = int((ends - (time.time() if now is None else now)) // _DAY)
    found = f"{shown_path(files.certificate)} names {here or 'its host'}, and is valid for {counted(days, 'day')}"
    if days < _SOON:
        yield Row(what, State.WARNING, found, "make a new one, put it on its host, and start Ray there again")
    else:
        yield Row(what, State.FINE, found)


def client_context(files: Credentials) -> ssl.SSLContext:
    """What a process of Ray brings to a connection that it opens. Raises SSLError or OSError."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, files)


def _context(protocol: int, files: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    # Ray knows no password for a key. An empty one fails; none would ask the terminal.
    context.load_cert_chain(files.certificate, files.key, password="")
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _handshake(files: Credentials, here: str | None) -> float:
    """Connect a host to itself in memory; both ends ask for a certificate, as in Ray. Returns when it ends."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking, answering = client_context(files), _context(ssl.PROTOCOL_TLS_SERVER, files)
    asking.check_hostname = here is not None
    client = asking.wrap_bio(to_client, to_server, server_hostname=here)
    server = answering.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_ROUNDS):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    shown = client.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
