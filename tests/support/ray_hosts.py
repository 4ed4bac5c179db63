"""
A cluster of Ray on one machine. Each host is a session of processes with a loopback address and a folder of its own;
with `machine`, one of them can stand in a network of its own.

`ray stop` ends everybody's Ray, so it is never used: a host is ended by ending all processes of its session. A keeper
does that at the end, also when the process of the tests is killed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import trustme

from crawling import PATIENCE, Job, Player, players, spider, strike, until
from holders import SIGNED, overlaps
from namespaces import Machine
from pinpool.lab import Lab

__all__ = ["SLOTS", "Cluster", "Host", "RayJob", "cluster"]

#: How `ray start` says that the host has joined the cluster.
JOINED = "Ray runtime started"
#: Processes of Ray that carry no actor.
OWN = re.compile(r"ray::(IDLE|\w*Agent)\b")
#: Slots of each host that tests share.
SLOTS = 2
OBJECT_STORE = 80_000_000  # bytes; the least that Ray takes is 75 MB


class Host:
    """One host of a cluster: `ray start` and all that comes of it."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], address: str) -> None:
        self.address = address
        self._log = folder / f"{address}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self.session = self._process.pid

    def __repr__(self) -> str:
        return f"<Host {self.address}>"

    @property
    def said(self) -> str:
        """What `ray start` has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def is_up(self) -> bool:
        """It has joined, and nobody has killed it."""
        return self._process.poll() is None and JOINED in self.said

    def workers(self) -> list[Player]:
        """The processes of actors here, the oldest first."""
        carriers = [one for one in players(self.session) if one.command.startswith("ray::")]
        return sorted((one for one in carriers if not OWN.match(one.command)), key=lambda one: one.since)

    def wait(self) -> None:
        """Return as soon as it has joined."""
        until(lambda: JOINED in self.said or self._process.poll() is not None, f"{self} has joined", PATIENCE)
        assert self.is_up, self.said

    def stop(self) -> None:
        """Stop every process of the host: what a suspended machine is to the others."""
        for one in players(self.session):
            strike(one, signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `stop`."""
        for one in players(self.session):
            strike(one, signal.SIGCONT)

    def kill(self) -> None:
        """End every process of the host at once, as a power cut does."""
        end([self.session])
        self._process.wait(PATIENCE)


class Cluster:
    """
    A head without slots for proxies, and hosts with some. `environment` is what its drivers need.

    All talk over loopback with a token. With a `machine` they talk over its cable, and with TLS as well.
    """

    def __init__(self, folder: Path, machine: Machine | None = None) -> None:
        self.folder = folder
        self._machine = machine
        self.hosts: list[Host] = []
        self._started: list[Host] = []
        # Ray takes 127.0.0.1 for a name of the machine's outer address.
        self._addresses = (f"{machine.net if machine else '127.0.0'}.{last}" for last in count(3))
        token = folder / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        if machine is not None:
            self.environment |= certified(folder, machine)
        self._keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def start(self) -> None:
        """Start the head and wait for it."""
        self.head = self._start("--head", "--port=0", "--include-dashboard=false")
        self.head.wait()
        [self.address] = set(re.findall(rf"{re.escape(self.head.address)}:\d+", self.head.said))

    def add(self, *slots: int) -> list[Host]:
        """A host for each number of slots. They start at the same time; this waits for the last."""
        return self._join([self._start(*self._as_host(number)) for number in slots])

    def add_machine(self, slots: int) -> Host:
        """The host on the other side of the cable."""
        assert self._machine is not None
        [host] = self._join([self._start(*self._as_host(slots), machine=self._machine)])
        return host

    def have(self, number: int) -> list[Host]:
        """So many hosts with `SLOTS` each, all up: those that are, but not more, and new ones."""
        up = [host for host in self.hosts if host.is_up]
        for host in up[number:]:
            host.kill()
        return up[:number] + self.add(*[SLOTS] * (number - len(up)))

    def close(self) -> None:
        """End every process and remove every file."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(PATIENCE)
        for host in self._started:
            host.kill()

    def _as_host(self, slots: int) -> tuple[str, str]:
        return f"--address={self.address}", f'--resources={{"proxy": {slots}}}'

    def _join(self, added: list[Host]) -> list[Host]:
        for host in added:
            host.wait()
        self.hosts += added
        return added

    def _start(self, *options: str, machine: Machine | None = None) -> Host:
        address = machine.address if machine else next(self._addresses)
        files = self.folder / address
        files.mkdir()
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
            *("--num-cpus=0", f"--object-store-memory={OBJECT_STORE}", "--include-log-monitor=false"),
            *(f"--node-ip-address={address}", f"--temp-dir={files}", *options),
        ]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        host = Host(
            machine.command(*command) if machine else command,
            self.folder,
            {**inherited, **self.environment},
            address,
        )
        self._started.append(host)
        assert self._keeper.stdin is not None
        print(host.session, file=self._keeper.stdin, flush=True)
        return host


class RayJob(Job):
    """A job whose workers are actors of a cluster. They sign what they send, see `holders`."""

    def __init__(self, folder: Path, lab: Lab, cluster: Cluster, meddle: str = "return None") -> None:
        super().__init__(folder, lab, spider(meddle) + SIGNED)
        self.cluster = cluster

    @property
    def engine(self) -> tuple[str, ...]:
        return "--engine", "ray", "--address", self.cluster.address, "--threads", str(self.threads)

    def complete(self, *, but: frozenset[str] = frozenset()) -> None:
        """As for any job, and no proxy has two holders that overlap, and no worker is left on a host."""
        super().complete(but=but)
        assert overlaps(self.lab.requests) == []
        until(lambda: not any(host.workers() for host in self.cluster.hosts), "no worker is left", 30)


@contextmanager
def cluster(machine: Machine | None = None) -> Iterator[Cluster]:
    """A cluster with its head. Paths of sockets may have 107 characters only, so its folder has a short name."""
    made = Cluster(Path(tempfile.mkdtemp(prefix="rh-", dir="/tmp")), machine)
    try:
        made.start()
        yield made
    finally:
        made.close()


def certified(folder: Path, machine: Machine) -> dict[str, str]:
    """Settings of Ray for TLS, with one certificate for all hosts. Ray asks it for their addresses."""
    authority, files = trustme.CA(), {name: folder / f"{name}.pem" for name in ("CERT", "KEY", "CA")}
    issued = authority.issue_cert("127.0.0.1", *(f"{machine.net}.{last}" for last in range(1, 10)))
    issued.cert_chain_pems[0].write_to_path(files["CERT"])
    issued.private_key_pem.write_to_path(files["KEY"])
    authority.cert_pem.write_to_path(files["CA"])
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(files["CERT"]),
        "RAY_TLS_SERVER_KEY": str(files["KEY"]),
        "RAY_TLS_CA_CERT": str(files["CA"]),
    }


def end(sessions: list[int]) -> None:
    """End all processes of these sessions; one that is just being started as well."""

    def left() -> list[Player]:
        return [one for session in sessions for one in players(session)]

    def strike_all() -> bool:
        for one in left():
            strike(one)
        return not left()

    until(strike_all, "no process of the hosts is left")


def keep(folder: Path) -> None:
    """Read the sessions of hosts from stdin until whoever writes there is gone. Then end them and remove the folder."""
    end([int(line) for line in sys.stdin])
    shutil.rmtree(folder)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
