"""What `pinpool doctor` sees of the libraries that fetch: a replaced urllib3, certificates."""

import http.client
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import requests
import urllib3
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from pinpool.check.environment_rows import REINSTALL, installed_version
from pinpool.check.row import Row, State
from pinpool.errors import SettingsError
from pinpool.fetch.sockets import tls_context
from pinpool.text import counted, shown_path


class Piece(NamedTuple):
    """A piece of a library as it is in this process, and the file or folder that it should come from."""

    name: str
    now: Any
    home: str


def urllib3_rows() -> Iterable[Row]:
    rows = replaced_pieces(_pieces())
    if getattr(requests, "packages").urllib3 is not urllib3:  # noqa: B009  it is made at run time
        rows.append(Row("urllib3", State.HINDERS, "requests brings a urllib3 of its own", REINSTALL))
    installed, imported = installed_version("urllib3"), str(vars(urllib3)["__version__"])
    if installed != imported:
        found = f"{imported} is imported, but {installed or 'none'} is installed"
        rows.append(Row("urllib3", State.HINDERS, found, f"look for another urllib3 in PYTHONPATH; {REINSTALL}"))
    return rows or [Row("urllib3", State.FINE, f"{imported}, unchanged; so are socket, ssl and http.client")]


def replaced_pieces(pieces: Iterable[Piece]) -> list[Row]:
    """One row if anything is not where its library puts it: gevent, tracers and the like replace functions."""
    replaced = [piece.name for piece in pieces if _is_foreign(piece)]
    if not replaced:
        return []
    found = f"replaced by other code: {', '.join(replaced)}"
    todo = "find what does so before pinpool starts: a .pth file, sitecustomize, a tracer; leave it out"
    return [Row("urllib3", State.WARNING, found, todo)]


def _pieces() -> list[Piece]:
    library, requests_home = _folder(urllib3), _folder(requests)
    return [
        Piece("HTTPConnectionPool.urlopen", HTTPConnectionPool.urlopen, library),
        Piece("HTTPConnection.connect", HTTPConnection.connect, library),
        Piece("HTTPSConnection.connect", HTTPSConnection.connect, library),
        Piece("HTTPConnection.request", HTTPConnection.request, library),
        Piece("create_connection", urllib3.util.connection.create_connection, library),
        Piece("Session.send", requests.Session.send, requests_home),
        Piece("HTTPAdapter.send", requests.adapters.HTTPAdapter.send, requests_home),
        Piece("HTTPResponse.begin", http.client.HTTPResponse.begin, str(http.client.__file__)),
        Piece("socket.getaddrinfo", socket.getaddrinfo, str(socket.__file__)),
        Piece("socket.socket", socket.socket, "socket"),
        Piece("ssl.SSLContext", ssl.SSLContext, "ssl"),
    ]


def _is_foreign(piece: Piece) -> bool:
    if isinstance(piece.now, type):
        return piece.now.__module__ != piece.home
    code = getattr(piece.now, "__code__", None)
    return hasattr(piece.now, "__wrapped__") or code is None or not code.co_filename.startswith(piece.home)


def _folder(package: Any) -> str:
    return str(Path(package.__file__).parent)


def certificate_rows() -> Iterable[Row]:
    return [certificate_row(DEFAULT_CA_BUNDLE_PATH)]


def certificate_row(path: str) -> Row:
    """Whether the shipped certificates of authorities can be read."""
    todo = "`pip install --force-reinstall certifi`, or name another file with -s ca_bundle=FILE"
    try:
        count = tls_context(path).cert_store_stats()["x509_ca"]
    except SettingsError as error:
        reason = str(error).removeprefix(f"ca_bundle: {path}: ").partition(";")[0]
        return Row("certificates", State.HINDERS, f"{shown_path(path)}: {reason}", todo)
    if not count:
        return Row("certificates", State.HINDERS, f"{shown_path(path)} has no certificate of an authority", todo)
    authorities = counted(count, "authority", "authorities")
    return Row("certificates", State.FINE, f"{authorities} in certifi's file; {ssl.OPENSSL_VERSION}")
