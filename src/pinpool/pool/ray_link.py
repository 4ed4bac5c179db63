"""The engine's end of the pipe to Ray's driver: starts it, and ends it with all that it has started."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pinpool.pool.pids import send
from pinpool.pool.ray_cluster import DriverPlan
from pinpool.pool.ray_messages import Ready, Refused
from pinpool.proxies.source import VARIABLE

#: Python does not look for modules in the current folder, where a file named json.py would stand in for its own.
_SAFE_PATH = ("-P",)
#: How long a driver has to end by itself.
END_PATIENCE = 10.0
#: Characters that Ray puts behind its folder for the longest path of a socket, of which a system takes about 100.
_SOCKET_LENGTH = 64
_LONGEST_SOCKET = 103
_LAST_WORDS = 300
_STACK = "*** StackTrace Information ***"


class Link:
    """
    A running driver. It has a session of its own: signals of the terminal do not reach it. Once it `is_ready`, it ends
    by itself when it hears no more from here.
    """

    def __init__(self, folder: Path, plan: DriverPlan) -> None:
        """`folder` is for the files of this driver."""
        self._log = folder / "ray-driver.log"
        ours, its = socket.socketpair()
        with its, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *_SAFE_PATH, "-m", "pinpool.pool.ray_driver", str(its.fileno())],
                env={name: value for name, value in os.environ.items() if name != VARIABLE},  # has passwords
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        self._pipe = Connection(ours.detach())
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        self._pipe.send_bytes(pickle.dumps(plan))
        self.is_ready = False

    @property
    def pid(self) -> int:
        """The driver's process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Say something to the driver. No effect if it is dead: `receive` says so."""
        with suppress(OSError):
            self._pipe.send(message)

    def wake(self) -> None:
        """End a `receive` that waits. Any thread may call this."""
        with suppress(OSError):  # it was woken so often that the pipe is full
            os.write(self._wakes, b"!")

    def receive(self, timeout: float) -> list[object]:
        """What the driver has said; waits up to `timeout` seconds for something. Raises EOFError if it is dead."""
        messages: list[object] = []
        ready = wait([self._pipe, self._woken], timeout)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._pipe in ready:
            try:
                while self._pipe.poll():
                    messages.append(self._pipe.recv())
                self.is_ready |= any(isinstance(message, Ready | Refused) for message in messages)
            except (EOFError, OSError):
                if not messages:
                    raise EOFError from None
        return messages

    def last_words(self) -> str:
        """The end of what the driver, and Ray in it, has printed."""
        with suppress(OSError):
            return said_last(self._log.read_text(errors="replace"))
        return ""

    def end(self) -> None:
        """End the driver, and with it whatever it has started. A Ray of its own is gone then."""
        self._pipe.close()
        if self.is_ready:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_PATIENCE)
        # Its processes die with it as a rule. One that was being started may be left.
        until = time.monotonic() + END_PATIENCE
        while (left := session_of(self._process.pid)) and time.monotonic() < until:
            for pid in left:
                send(pid, signal.SIGKILL)
            time.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._woken, self._wakes):
            os.close(pipe)


def session_of(leader: int) -> list[int]:
    """The processes of a session, where they can be listed; but not zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, *fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == leader and state not in (b"Z", b"X"):
                found.append(int(folder.name))
    return found


def folder_for_sockets(wanted: Path) -> Path:
    """`wanted`, or a new folder with a shorter name if Ray's sockets would not fit there."""
    if len(str(wanted)) + _SOCKET_LENGTH <= _LONGEST_SOCKET:
        wanted.mkdir(exist_ok=True)
        return wanted
    return Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))


def said_last(text: str) -> str:
    """The last line of what a driver has printed, without Ray's stack trace; empty if there is none."""
    line = (text.partition(_STACK)[0].strip().splitlines() or [""])[-1]
    if "WrongClusterID" in line:
        return "its head was started again, and does not know this run any more"
    return line.rpartition("Check failed: ")[2].strip()[-_LAST_WORDS:]
