"""Proxies of other authors, each a process on a free port of the loopback, all with a login."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from crawling import until
from pinpool.proxies.proxy import Proxy

__all__ = ["FROM_DEBIAN", "KINDS", "REQUIRED", "Certificate", "Foreign", "is_here", "running"]

#: Set on machines that must have all of them: then a missing one fails instead of being skipped.
REQUIRED = "PINPOOL_REQUIRE_DEBIAN_PROXIES"
#: Seconds. No wait here is longer.
PATIENCE = 60.0
#: Below the range for outgoing connections, so that none of these takes our port.
PORTS = range(20_000, 30_000)
#: Some programs are here, which is not on everybody's PATH.
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

USER = "anna"
PASSWORD = "pl:an@te/d%20#?"  # with everything that has to be escaped in a line of the list
PLAIN_PASSWORD = "planted"  # tinyproxy accepts letters and digits only


class Certificate(NamedTuple):
    """The certificate of a server on 127.0.0.1: two files in PEM, and the authority that a client has to trust."""

    chain: Path
    key: Path
    authority: Path


class Foreign(NamedTuple):
    """A running proxy, and the same with a wrong login."""

    proxy: Proxy
    stranger: Proxy


class Start(NamedTuple):
    """What a proxy is started with. It may write into `folder`."""

    folder: Path
    port: int
    certificate: Certificate


class Recipe(NamedTuple):
    """How to start a kind. `program` is the name of a Debian package, and empty for those from PyPI."""

    scheme: str
    command: Callable[[Start], list[str]]
    program: str = ""
    password: str = PASSWORD


def _proxy_py(start: Start) -> list[str]:
    return [
        *(sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", str(start.port)),
        *("--basic-auth", f"{USER}:{PASSWORD}", "--num-acceptors", "1", "--num-workers", "1"),
        *("--data-dir", str(start.folder), "--log-level", "WARNING"),
    ]


def _proxy_py_tls(start: Start) -> list[str]:
    chain, key = str(start.certificate.chain), str(start.certificate.key)
    return [*_proxy_py(start), "--cert-file", chain, "--key-file", key]


def _pproxy(protocol: str) -> Callable[[Start], list[str]]:
    login = USER if protocol == "socks4" else f"{USER}:{PASSWORD}"

    def command(start: Start) -> list[str]:
        # Without `--auth 0` an address that has logged in once may use any password afterwards.
        listen = f"{protocol}://127.0.0.1:{start.port}#{login}"
        return [sys.executable, "-m", "pproxy", "-l", listen, "--auth", "0"]

    return command


def _tinyproxy(start: Start) -> list[str]:
    configuration = start.folder / "tinyproxy.conf"
    configuration.write_text(
        f"Listen 127.0.0.1\nPort {start.port}\nTimeout 60\nMaxClients 50\nAllow 127.0.0.1\n"
        f"BasicAuth {USER} {PLAIN_PASSWORD}\n"
    )
    return [_found("tinyproxy"), "-d", "-c", str(configuration)]


def _microsocks(start: Start) -> list[str]:
    return [_found("microsocks"), "-i", "127.0.0.1", "-p", str(start.port), "-u", USER, "-P", PASSWORD]


def _squid(start: Start) -> list[str]:
    users, configuration = start.folder / "users", start.folder / "squid.conf"
    users.write_text(f"{USER}:{hashlib.md5(PASSWORD.encode()).hexdigest()}\n")
    configuration.write_text(
        f"http_port 127.0.0.1:{start.port}\n"
        f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\n"
        "auth_param basic children 1\n"
        "acl known proxy_auth REQUIRED\n"
        "http_access allow known\n"
        "http_access deny all\n"
        "cache deny all\n"
        "cache_mem 0 MB\n"
        "cache_log /dev/null\n"
        "access_log none\n"
        "pid_filename none\n"
        "pinger_enable off\n"
        "shutdown_lifetime 0 seconds\n"
        # No DNS: a name that is not in the hosts file does not resolve.
        "dns_nameservers 127.0.0.1\n"
        "dns_retransmit_interval 1 second\n"
        "dns_timeout 1 second\n"
    )
    return [_found("squid"), "-N", "-n", f"pinpool{start.port}", "-f", str(configuration)]


KINDS: dict[str, Recipe] = {
    "proxy.py": Recipe("http", _proxy_py),
    "proxy.py-tls": Recipe("https", _proxy_py_tls),
    "pproxy-http": Recipe("http", _pproxy("http")),
    "pproxy-socks5": Recipe("socks5h", _pproxy("socks5")),
    "pproxy-socks4": Recipe("socks4", _pproxy("socks4"), password=""),
    "tinyproxy": Recipe("http", _tinyproxy, "tinyproxy", PLAIN_PASSWORD),
    "microsocks": Recipe("socks5h", _microsocks, "microsocks"),
    "squid": Recipe("http", _squid, "squid"),
}
FROM_DEBIAN = [kind for kind, recipe in KINDS.items() if recipe.program]


def is_here(kind: str) -> bool:
    """Whether this kind can be started on this machine. Also true if it must be."""
    program = KINDS[kind].program
    return not program or REQUIRED in os.environ or bool(_which(program))


@contextmanager
def running(kind: str, certificate: Certificate) -> Iterator[Foreign]:
    """Start a proxy, and end it with all of its processes. Skips the test if the program is not installed."""
    if not is_here(kind):
        pytest.skip(f"{KINDS[kind].program} is not installed: apt-get install {KINDS[kind].program}")
    # Not pytest's folder, which only its user may enter: squid, started by root, changes its user.
    folder = Path(tempfile.mkdtemp(prefix="pinpool-foreign-"))
    folder.chmod(0o755)
    try:
        with _process(KINDS[kind], folder, certificate) as port:
            yield _introduce(KINDS[kind], port)
    finally:
        shutil.rmtree(folder)


def _introduce(recipe: Recipe, port: int) -> Foreign:
    proxy = Proxy(recipe.scheme, "127.0.0.1", port, USER, recipe.password)
    if not recipe.password:
        return Foreign(proxy, Proxy(recipe.scheme, "127.0.0.1", port, "stranger"))
    return Foreign(proxy, Proxy(recipe.scheme, "127.0.0.1", port, USER, "wrong"))


@contextmanager
def _process(recipe: Recipe, folder: Path, certificate: Certificate) -> Iterator[int]:
    """The port on which it listens."""
    output = folder / "output"
    for port in Random().sample(PORTS, 3):  # the first may be taken
        with output.open("wb") as sink:
            process = subprocess.Popen(
                recipe.command(Start(folder, port, certificate)),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=folder,
                # The folder marks all of its descendants, even in another session.
                env={**os.environ, "PINPOOL_FOREIGN": str(folder), "RES_OPTIONS": "timeout:1 attempts:1"},
                start_new_session=True,
            )
        try:
            if _listens(process, port):
                yield port
                return
        finally:
            _end(process, folder)
    raise RuntimeError(f"does not listen: {output.read_text(errors='replace')}")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            return False
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            return True
    return False


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)
    until(lambda: not _descendants(folder), "the end of all processes of the proxy", seconds=PATIENCE)


def _descendants(folder: Path) -> list[int]:
    """The processes with this folder in their environment, on systems that show it."""
    mark, found = f"PINPOOL_FOREIGN={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")


def _found(program: str) -> str:
    path = _which(program)
    if path is None:
        raise FileNotFoundError(f"{program} is not installed, and {REQUIRED} is set")
    return path
