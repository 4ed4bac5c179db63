"""Where a cluster of Ray is, and whether passwords may travel there. It needs no Ray."""

import ipaddress
import re
import socket
from collections.abc import Mapping

from pinpool.errors import UsageError

_ENDPOINT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<name>[\w.-]+)):(?P<port>[0-9]{1,5})", re.ASCII)


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, an IPv6 address in brackets. Raises UsageError."""
    parts = _ENDPOINT.fullmatch(text)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise UsageError(f"{text!r} is not HOST:PORT: name the head and its port, such as 10.0.0.1:6379")
    return parts["six"] or parts["name"], int(parts["port"])


def is_loopback(host: str) -> bool:
    """Whether all addresses of `host` stay on this machine. A name that does not resolve does not."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def uses_token(environ: Mapping[str, str]) -> bool:
    """Whether Ray asks for its token, as it reads this environment."""
    return environ.get("RAY_AUTH_MODE", "").lower() == "token"


def uses_tls(environ: Mapping[str, str]) -> bool:
    """Whether Ray uses TLS, as it reads this environment."""
    return environ.get("RAY_USE_TLS", "").lower() in ("1", "true")
