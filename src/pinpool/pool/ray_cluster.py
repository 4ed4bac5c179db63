"""
How the driver gets a Ray: that of a cluster, or one of its own on this machine. And which hosts may see a password.

Leases carry the passwords of proxies. They travel within this machine, or through connections that are encrypted (TLS)
to hosts that have proved themselves (token), and nowhere else.
"""

import os
import secrets
import socket
from importlib import import_module
from typing import Any, NamedTuple

from pinpool.errors import PinpoolError, UsageError
from pinpool.pool.ray_address import endpoint, is_loopback, uses_tls, uses_token
from pinpool.text import one_line

#: Bytes of shared memory for results. Only a result of more than 100 kB lies there; Ray takes no less than 75 MB.
_OBJECT_STORE = 100_000_000
#: How long the head of a cluster may take to answer, in seconds.
HEAD_PATIENCE = 20.0
#: Must be there before Ray is imported. Despite its name it also keeps a Ray of our own on the loopback address.
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class DriverPlan(NamedTuple):
    """
    What the driver starts with. `address` is that of a cluster, None for a Ray of its own with so many `slots`, whose
    files go to `temporary`. `files` is the folder of the spider's files. `kit` is for carriers.
    """

    address: str | None
    slots: int
    files: str | None
    temporary: str
    kit: bytes


class Unfit(PinpoolError):
    """The run must end. With `is_wrong_input` the user has to change something about the cluster, or the command."""

    def __init__(self, text: str, is_wrong_input: bool = False) -> None:
        super().__init__(text, is_wrong_input)
        self.text = text
        self.is_wrong_input = is_wrong_input

    def __str__(self) -> str:
        return self.text


def connect(plan: DriverPlan) -> Any:
    """Ray's module, connected to a cluster that may have the leases of a run. Raises Unfit."""
    if plan.address is None:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]  # they are about a cluster
        os.environ.update(_LOOPBACK_ONLY, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    else:
        _find_head(plan.address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray: Any = import_module("ray")
    environment = {"working_dir": plan.files} if plan.files else None
    options = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
    try:
        if plan.address is None:
            ray.init(
                address="local",
                include_dashboard=False,
                resources={"proxy": plan.slots},
                object_store_memory=_OBJECT_STORE,
                _temp_dir=plan.temporary,
                **options,
            )
        else:
            ray.init(address=plan.address, **options)
    except Exception as error:  # noqa: BLE001  Ray raises anything here
        where = f"the Ray cluster at {plan.address}" if plan.address else "a Ray on this machine"
        asking = f" --address {plan.address}" if plan.address else ""
        reason = one_line(str(error)).rstrip(".")
        raise Unfit(f"cannot use {where}: {reason}; `pinpool doctor --engine ray{asking}` says why") from None
    for node in ray.nodes():
        if node["Alive"]:
            may_have_leases(node["NodeManagerHostname"], node["NodeManagerAddress"])
    return ray


def _find_head(address: str) -> None:
    """Raises Unfit if nobody answers there: Ray would look for the head of a cluster for minutes."""
    try:
        place = endpoint(address)
    except UsageError as error:
        raise Unfit(str(error), is_wrong_input=True) from None
    try:
        socket.create_connection(place, HEAD_PATIENCE).close()
    except OSError as error:
        reason = one_line(str(getattr(error, "strerror", None) or error))
        text = f"no Ray cluster at {address}: {reason}; is its head up (ray start --head), and its port open?"
        raise Unfit(text, is_wrong_input=True) from None


def may_have_leases(host: str, address: str) -> None:
    """Raises Unfit if a host may not have leases, with their passwords."""
    if is_loopback(address) or (uses_tls(os.environ) and uses_token(os.environ)):
        return
    raise Unfit(
        f"the host {host} ({address}) may not have the passwords of proxies, because the cluster has not both TLS and "
        "a token: start each of its hosts, and pinpool, with RAY_USE_TLS=1 and its certificates, and with "
        "RAY_AUTH_MODE=token and the token (`pinpool guide cluster`)",
        is_wrong_input=True,
    )
