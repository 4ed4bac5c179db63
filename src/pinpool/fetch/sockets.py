"""
Sockets that never read beyond the page's time, and the TLS context that they share.

A peer that drips one byte at a time outlasts every read timeout: in the head, in a tunnel's answer, in a SOCKS reply.
So before each read the socket's timeout is cut to the time that is left. That works in every thread, without a timer.
"""

import math
import socket
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import socks
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from pinpool.errors import SettingsError
from pinpool.model import Step
from pinpool.text import cut, one_line

_NAMES = {"commonName": "CN", "organizationName": "O"}


@lru_cache(maxsize=8)
def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """
    The context for every TLS connection, to sites and to proxies: certificate and host name are verified.

    `ca_bundle` is a PEM file of authorities that replaces the shipped ones. Reading it takes 12 ms, so call this once
    before workers are forked. Raises SettingsError if the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_bundle or DEFAULT_CA_BUNDLE_PATH)
    except OSError as error:
        # OpenSSL's own errors have a number too, and words that nobody knows.
        reason = "no certificates in PEM format in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"ca_bundle: {ca_bundle}: {reason}; name a PEM file of authorities") from None
    context.sslsocket_class = TlsSocket
    return context


@dataclass(slots=True)
class Progress:
    """
    How far the current exchange is. All connections of a pin share it.

    Every read after `until` (`time.monotonic`) raises a time-out. `is_reused` says whether the connection has served
    before. `received` counts the bytes of all answers so far, heads included. `asked` counts all requests sent,
    redirects included; the last one was sent at `asked_at` (`time.monotonic`).
    """

    step: Step = Step.CONNECT
    until: float = math.inf
    is_reused: bool = False
    received: int = 0
    asked: int = 0
    asked_at: float = -math.inf

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self.until - 0.001

    def count_request(self) -> None:
        self.asked += 1
        self.asked_at = time.monotonic()

    def limit(self, sock: socket.socket) -> None:
        """Let the next read of `sock` end with the page's time. Raises TimeoutError if that is over."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the page is up")
        if left < (sock.gettimeout() or math.inf):
            sock.settimeout(left)


class TlsSocket(ssl.SSLSocket):
    """Limits `recv`, by which TLS within TLS reads the outer connection. A `SocketReader` does all other reads."""

    progress: Progress | None = None

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except ssl.SSLCertVerificationError as error:
            # Too late afterwards: the socket is closed.
            error.seen = certificate_text(self)  # type: ignore[attr-defined]
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if self.progress is not None:
            self.progress.limit(self)
        return super().recv(buflen, flags)


def certificate_text(sock: ssl.SSLSocket) -> str:
    """
    ``subject CN=site.test; issuer CN=Some CA``: what the peer of a failed handshake showed. Empty if unknown.

    The ssl module has no public way to a certificate that it does not trust, so this may come to nothing.
    """
    try:
        shown = sock._sslobj.get_unverified_chain()[0].get_info()  # type: ignore[attr-defined]
        subject, issuer = (_name(shown[part]) for part in ("subject", "issuer"))
    except Exception:  # noqa: BLE001  also what a later Python may raise
        return ""
    return f"subject {subject}; issuer {'the same' if issuer == subject else issuer}"


def _name(parts: Any) -> str:
    """``CN=site.test, O=Example``, from what `getpeercert` calls a name."""
    named = {key: value for part in parts for key, value in part}
    known = [f"{short}={named[key]}" for key, short in _NAMES.items() if key in named]
    return cut(one_line(", ".join(known)), 80) if known else "without a name"


#: A SOCKS 5 server chooses the login by user name and password.
_LOGIN_WANTED = b"\x05\x02"


class SocksSocket(socks.socksocket):
    """Limits each read of the SOCKS conversation, and tells the login from the request for the site."""

    progress: Progress
    _logs_in = False

    def _readall(self, file: Any, count: int) -> bytes:
        data = bytes(super()._readall(file, count))  # type: ignore[misc]
        if self._logs_in:
            # The answer to a login has a version of its own, 1 (RFC 1929). Some servers write 5, and curl takes that.
            self._logs_in, data = False, b"\x01" + data[1:]
        elif data == _LOGIN_WANTED:
            self._logs_in = True
        return data

    def recv_into(self, *args: Any) -> int:
        self.progress.limit(self)
        return super().recv_into(*args)

    def _write_SOCKS5_address(self, addr: Any, file: Any) -> Any:  # noqa: N802  the name is PySocks's
        # The only hook that PySocks calls between login and request.
        self.progress.step = Step.TUNNEL
        return super()._write_SOCKS5_address(addr, file)  # type: ignore[misc]
