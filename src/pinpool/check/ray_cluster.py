"""What `pinpool doctor --engine ray --address …` sees of a cluster: whether it answers, its versions, its slots."""

import os
import platform
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence

from pinpool.check.environment_rows import installed_version
from pinpool.check.ray_security import client_context, credentials, security_rows
from pinpool.check.row import Row, State
from pinpool.pool.ray_address import endpoint, uses_tls
from pinpool.pool.ray_look import RayHost, RayLook, look
from pinpool.text import counted, first_few, one_line

#: For a host that does not answer at all.
_CONNECT = 5.0
#: For the cluster to say what it is; one that is well does so in a second.
_PATIENCE = 20.0
_ALIKE = "set the same variables on every host"


def cluster_rows(address: str | None) -> Iterator[Row]:
    """What the cluster is; nothing if there is none to ask."""
    if address is None:
        return
    host, port = endpoint(address)
    heads = [*head_rows(host, port, os.environ)]
    yield from heads
    # Without Ray, or with a token or certificates that fail here already, Ray's own answer would mislead.
    if installed_version("ray") and not any(row.state is State.HINDERS for row in [*heads, *security_rows(address)]):
        yield from answer_rows(look(address, _PATIENCE))


def head_rows(host: str, port: int, environ: Mapping[str, str]) -> Iterator[Row]:
    """Whether the head can be reached, and speaks as this shell would have Ray speak."""
    shown = f"{host}:{port}"
    try:
        socket.create_connection((host, port), timeout=_CONNECT).close()
        found, todo = speech_problem(host, port, environ)
    except socket.gaierror:
        found, todo = "its name is not known here", "name its address, such as 10.0.0.1:6379"
    except TimeoutError:
        found, todo = (
            f"no answer within {_CONNECT:g} s",
            "see whether the host is up, and open the port in its firewall",
        )
    except OSError as error:
        found, todo = f"it cannot be reached: {error.strerror}", f"on the head: `ray start --head --port={port}`"
    if found:
        yield Row("Ray's head", State.HINDERS, f"{shown}: {found}", todo)
    else:
        yield Row("Ray's head", State.FINE, f"{shown} can be reached")


def speech_problem(host: str, port: int, environ: Mapping[str, str]) -> tuple[str, str]:
    """Why head and this shell would not understand each other, and what to do. Ray would only wait."""
    files = credentials(environ)
    try:
        context = client_context(files) if files else _unchecked()
    except OSError:
        files = None
    if uses_tls(environ) and not files:
        return "", ""  # the rows on TLS say why
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((host, port), timeout=_CONNECT)
    try:
        with plain, context.wrap_socket(plain, server_hostname=host) as secured:
            refused = _is_refused(secured)
    except ssl.SSLCertVerificationError as error:
        return (
            f"its certificate: {one_line(error.verify_message)}",
            "make it a certificate; `pinpool guide cluster` shows how",
        )
    except OSError:
        return ("it does not use TLS, and this shell does", _ALIKE) if files else ("", "")
    if not files:
        return "it uses TLS, and RAY_USE_TLS is not 1 here", _ALIKE
    if refused:
        return "it does not accept the certificate of this host", "have all certificates signed by one authority"
    return "", ""


def _unchecked() -> ssl.SSLContext:
    """To see whether somebody speaks TLS at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_refused(secured: ssl.SSLSocket) -> bool:
    """A head that accepts a certificate speaks first; one that does not hangs up."""
    try:
        return not secured.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def answer_rows(seen: RayLook) -> Iterator[Row]:
    """What to think of the cluster's answer."""
    if seen.problem:
        yield unasked_row(seen.problem)
        return
    yield from version_rows(seen, str(installed_version("ray")), platform.python_version(), os.environ)
    yield from host_rows(seen.hosts, is_here)


def unasked_row(problem: str) -> Row:
    """Why a head that can be reached did not say what the cluster is."""
    if "AuthenticationError" in problem:
        found, todo = "it does not accept the token of this shell", "copy the token of the head to this host"
    else:
        found = f"it cannot be asked: {one_line(problem)}"
        todo = "look on the head: `systemctl status pinpool-head`, and Ray's newest logs"
    return Row("Ray's cluster", State.HINDERS, found, todo)


def version_rows(seen: RayLook, ray: str, python: str, environ: Mapping[str, str]) -> Iterator[Row]:
    """Whether the cluster was started with the versions of this host."""
    what = "Ray's cluster"
    minor = environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor"
    same = python.split(".")[:2] == seen.python.split(".")[:2] if minor else python == seen.python
    if seen.ray != ray:
        found = f"it runs Ray {seen.ray}, and this host {ray}"
        yield Row(what, State.HINDERS, found, f"pip install 'ray=={seen.ray}' on every host")
    if not same:
        found = f"it runs Python {seen.python}, and this host {python}"
        yield Row(what, State.HINDERS, found, f"make the virtual environment of every host with Python {seen.python}")
    if seen.ray == ray and same:
        yield Row(what, State.FINE, f"Ray {seen.ray} on Python {seen.python}, as here")


def host_rows(hosts: Sequence[RayHost], here: Callable[[str], bool]) -> Iterator[Row]:
    """Whether the hosts offer slots, and whether one of them is this machine, where a run has to start."""
    offering = [f"{host.address}: {host.slots}" for host in hosts if host.slots]
    if offering:
        slots = sum(host.slots for host in hosts)
        found = f"{slots:,} on {counted(len(offering), 'host')} ({first_few(offering, 5)})"
        yield Row("proxy slots", State.FINE, found)
    else:
        found = f"{counted(len(hosts), 'host')} of Ray, and none offers a slot for a proxy"
        todo = """`ray start --address=… --resources='{"proxy": 20}'` on a host"""
        yield Row("proxy slots", State.HINDERS, found, todo)
    if not any(here(host.address) for host in hosts):
        found = "it is not a host of the cluster, and Ray only waits on such a one"
        todo = "start the run on the head; or `ray start --address=…` here, without --resources"
        yield Row("this host", State.HINDERS, found, todo)


def is_here(address: str) -> bool:
    """Whether it is an address of this machine: only such a one can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trying:
        try:
            trying.bind((address, 0))
        except OSError:
            return False
    return True
