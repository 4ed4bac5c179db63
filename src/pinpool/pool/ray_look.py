"""
Asks whether Ray can be loaded here, and what a cluster of Ray is: its versions, its hosts and their slots for proxies.

Ray may wait for ever for a cluster, and may end its process, so it is asked in a process of its own. This file is that
process's whole program: it imports nothing of pinpool.
"""

import json
import subprocess
import sys
from importlib import import_module
from typing import Any, NamedTuple

#: What one worker of pinpool takes on a host.
SLOT = "proxy"


class RayHost(NamedTuple):
    """A host that lives, and how many proxies it can carry."""

    address: str
    slots: int


class RayLook(NamedTuple):
    """The versions that the cluster was started with and its hosts, or why nothing is known."""

    ray: str = ""
    python: str = ""
    hosts: tuple[RayHost, ...] = ()
    problem: str = ""


def look(address: str | None, patience: float) -> RayLook:
    """
    What the cluster at ``HOST:PORT`` says within `patience` seconds; without one, only whether Ray can be loaded.

    Never raises. It changes nothing in the cluster and takes nothing of it.
    """
    command = [sys.executable, "-P", __file__, *([address] if address else [])]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=patience, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return RayLook(problem=f"no answer within {patience:g} s")
    except OSError as error:
        return RayLook(problem=f"{sys.executable} cannot be started: {error.strerror}")
    return answered(asked.returncode, asked.stdout.decode("utf-8", "replace"))


def answered(code: int, out: str) -> RayLook:
    """What the process has said, from its exit code and its last line."""
    try:
        said: dict[str, Any] = json.loads(out.strip().rpartition("\n")[2])
        hosts = tuple(RayHost(str(host), int(slots)) for host, slots in said.pop("hosts", ()))
        return RayLook(**said, hosts=hosts)
    except (ValueError, TypeError):
        how = f"signal {-code}" if code < 0 else f"code {code}"
        return RayLook(problem=f"Ray ended its process ({how}) without an answer")


def ask(address: str | None) -> dict[str, object]:
    """The answer as a document. Raises whatever Ray raises."""
    if address is None:
        return {"ray": import_module("ray").__version__}
    # It has no public face. ray.init would have a host of the cluster on this machine, and would be a job there.
    client = import_module("ray._raylet").GcsClient(address=address)
    cluster = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=10))
    alive = [info for info in client.get_all_node_info(timeout=10).values() if info.state == info.ALIVE]
    hosts = sorted((info.node_manager_address, int(info.resources_total.get(SLOT, 0))) for info in alive)
    return {"ray": cluster["ray_version"], "python": cluster["python_version"], "hosts": hosts}


def main() -> None:
    """The program of the process: one line of JSON."""
    try:
        said = ask(sys.argv[1] if len(sys.argv) > 1 else None)
    except BaseException as error:  # noqa: BLE001  Ray raises SystemExit as well
        said = {"problem": f"{type(error).__name__}: {error}"}
    print(json.dumps(said))  # noqa: T201  it is the parent's, not a reader's


if __name__ == "__main__":
    main()
