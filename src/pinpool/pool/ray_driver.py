"""
Ray's driver, in a process of its own. The engine starts it and talks to it through a pipe.

Ray may end the process that uses it (from C++, when the head of a cluster does not answer for a minute), it prints to
the terminal, and it takes SIGTERM for itself. None of this may happen to a run. And as this process does nothing but
wait for Ray, the leases of carriers are renewed while the parent is busy with something else.
"""

import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from pinpool.pool.pids import ground_of_pids, is_gone
from pinpool.pool.pinned_worker import describe
from pinpool.pool.ray_actor import Carrier
from pinpool.pool.ray_cluster import HEAD_PATIENCE, DriverPlan, Unfit, connect, may_have_leases
from pinpool.pool.ray_fence import MARGIN_SECONDS, TTL_SECONDS
from pinpool.pool.ray_messages import (
    Answer,
    Board,
    Disband,
    Disbanded,
    Gone,
    Joined,
    Kill,
    Leave,
    LetGo,
    Loss,
    Ran,
    Ready,
    Refused,
    Renewed,
    Run,
    Slots,
    Spawn,
)
from pinpool.text import one_line

RENEW_SECONDS = 2.5
#: A carrier that has not answered for that long is out of reach. On a host that can be reached, its fence has ended it
#: before, and that is known.
SILENCE_SECONDS = TTL_SECONDS + 1.0
#: How often the driver looks at the cluster.
LOOK_SECONDS = 3.0
#: How long carriers have to confirm that they end, and how long Ray has to end.
FAREWELL_PATIENCE = 2.0
SHUTDOWN_PATIENCE = 8.0
#: How long a process on this machine has to be gone after it was killed.
KILL_PATIENCE = 1.0
#: What Ray says of an actor whose own process has died, while its host is well.
PROCESS_DIED = "its worker process has died"


@dataclass(eq=False)
class _Actor:
    """
    A carrier. `answered_at` is when it last answered (monotonic), `clock` its fence's clock then; both are 0 before.
    """

    number: int
    handle: Any
    run: Any
    renew: Any
    let_go: Any
    is_renewing: bool = False
    has_joined: bool = False
    next_renewal: float = 0.0
    answered_at: float = 0.0
    clock: float = 0.0
    host: str = ""
    ground: str = ""
    pid: int = 0


class Driver:
    """Everything happens in the thread of `serve`. Others only put events into its queue."""

    def __init__(self, ray: Any, parent: Connection, plan: DriverPlan) -> None:
        self._ray = ray
        self._parent = parent
        self._kit = plan.kit
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._actors: dict[int, _Actor] = {}
        self._leaving: frozenset[int] = frozenset()
        self._looked_at = time.monotonic()

    def serve(self) -> NoReturn:
        """Serve the engine. Raises EOFError when it closes the pipe, and Unfit when the run must end."""
        self._parent.send(Ready())
        for work in (self._listen, self._look_around):
            threading.Thread(target=work, daemon=True).start()
        while True:
            with suppress(queue.Empty):
                self._events.get(timeout=max(0.0, self._next_renewal() - time.monotonic()))()
            self._renew_all()
            if time.monotonic() - self._looked_at > HEAD_PATIENCE:
                raise Unfit(f"the head of the Ray cluster has not answered for {HEAD_PATIENCE:g} s")

    # ------------------------------------------------------------------ other threads

    def _listen(self) -> None:
        try:
            while True:
                self._events.put(partial(self._obey, self._parent.recv()))
        except (EOFError, OSError):
            self._events.put(_hang_up)

    def _look_around(self) -> None:
        while True:
            with suppress(Exception):  # the head is slow, or dead: the other thread counts the seconds
                self._events.put(partial(self._looked, self._ray.nodes()))
            time.sleep(LOOK_SECONDS)

    def _looked(self, nodes: list[dict[str, Any]]) -> None:
        self._looked_at = time.monotonic()
        slots = [int(node["Resources"].get("proxy", 0)) for node in nodes if node["Alive"]]
        self._parent.send(Slots(sum(slots), len(slots), max(slots, default=0)))

    def _call(self, method: Any, *arguments: object, then: Callable[[Future[Any]], None]) -> None:
        future: Future[Any] = method.remote(*arguments).future()
        future.add_done_callback(lambda done: self._events.put(partial(then, done)))

    # ------------------------------------------------------------------ what the engine says

    def _obey(self, said: object) -> None:
        if isinstance(said, Spawn):
            self._spawn(said)
        elif isinstance(said, Leave):
            self._leaving = said.proxies
            for actor in self._actors.values():
                actor.next_renewal = 0.0
        elif isinstance(said, Disband):
            self._disband()
        elif isinstance(said, Run | LetGo | Kill) and (known := self._actors.get(said.carrier)) is not None:
            if isinstance(said, Run):
                self._call(known.run, *said[1:], then=partial(self._ran, known, said))
            elif isinstance(said, LetGo):
                known.let_go.remote(said.place, said.pins)
            else:
                self._kill(known)

    def _spawn(self, said: Spawn) -> None:
        slots = len(said.workers)
        kind = self._ray.remote(
            num_cpus=0,
            resources={"proxy": slots},
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"run": slots, "control": 1},
        )(Carrier)
        handle = kind.remote(self._kit, said.workers)
        run, let_go = (method.options(concurrency_group="run") for method in (handle.run, handle.let_go))
        renew = handle.renew.options(concurrency_group="control")
        self._actors[said.carrier] = _Actor(said.carrier, handle, run, renew, let_go)

    def _ran(self, actor: _Actor, said: Run, future: Future[Any]) -> None:
        if self._actors.get(actor.number) is not actor:
            return
        try:
            ran = Ran(*future.result())
        except Exception as error:  # noqa: BLE001  Ray's, or what could not be pickled
            if not self._has_lost(actor, error):
                trouble = one_line(str(error))
                self._parent.send(Answer(actor.number, said.place, said.serial, b"", trouble=trouble))
            return
        if ran.complaint:
            raise Unfit(f"a worker on {actor.host} cannot go on: {ran.complaint}")
        self._parent.send(Answer(actor.number, said.place, said.serial, ran.payload, ran.owed))

    def _kill(self, actor: _Actor) -> None:
        self._ray.kill(actor.handle, no_restart=True)
        self._lose(actor, "killed", "", is_surely_dead=self._is_surely_gone(actor))

    def _disband(self) -> None:
        joined = [actor for actor in self._actors.values() if actor.has_joined]
        asked = {actor.handle.leave.options(concurrency_group="control").remote(): actor for actor in joined}
        self._actors.clear()
        confirmed = set()
        if asked:
            ready, left = self._ray.wait(list(asked), num_returns=len(asked), timeout=FAREWELL_PATIENCE)
            for reference in ready:
                with suppress(Exception):  # it has died, or is out of reach
                    self._ray.get(reference)
                    confirmed.add(asked[reference].number)
            for reference in left:
                self._ray.kill(asked[reference].handle, no_restart=True)
            confirmed |= {asked[reference].number for reference in left if self._is_surely_gone(asked[reference])}
        self._parent.send(Disbanded(frozenset(confirmed)))

    def _is_surely_gone(self, actor: _Actor) -> bool:
        """Whether the process of a killed carrier is on this machine, and gone."""
        is_here, until = actor.ground and actor.ground == ground_of_pids(), time.monotonic() + KILL_PATIENCE
        while is_here and not is_gone(actor.pid) and time.monotonic() < until:
            time.sleep(0.01)
        return bool(is_here and is_gone(actor.pid))

    # ------------------------------------------------------------------ renewals

    def _next_renewal(self) -> float:
        due = (actor.next_renewal for actor in self._actors.values() if not actor.is_renewing)
        return min(due, default=time.monotonic() + 1.0)

    def _renew_all(self) -> None:
        now = time.monotonic()
        for actor in list(self._actors.values()):
            if actor.is_renewing:
                if actor.answered_at and now - actor.answered_at > SILENCE_SECONDS:
                    self._lose(actor, "out of reach", f"it has not answered for {SILENCE_SECONDS:g} s")
            elif actor.next_renewal <= now:
                actor.is_renewing, actor.next_renewal = True, now + RENEW_SECONDS
                until = actor.clock + TTL_SECONDS if actor.answered_at else 0.0
                self._call(actor.renew, until, self._leaving, then=partial(self._renewed, actor))

    def _renewed(self, actor: _Actor, future: Future[Any]) -> None:
        if self._actors.get(actor.number) is not actor:
            return
        actor.is_renewing = False
        try:
            renewed = Renewed(*future.result())
        except Exception as error:  # noqa: BLE001
            if not self._has_lost(actor, error):
                raise Unfit(f"a worker cannot start: {one_line(str(error))}") from None
            return
        if renewed.complaint:
            raise Unfit(f"the workers on {renewed.host} cannot start: {renewed.complaint}")
        if not actor.answered_at:
            may_have_leases(renewed.host, renewed.address)
            actor.host, actor.ground, actor.pid = renewed.host, renewed.ground, renewed.pid
            actor.next_renewal = 0.0  # the fence opens with the second
        elif not actor.has_joined:
            actor.has_joined = True
            self._parent.send(Joined(actor.number, renewed.host, renewed.pid))
        actor.answered_at, actor.clock = time.monotonic(), renewed.now
        self._parent.send(Board(actor.number, renewed.lines, renewed.log))

    # ------------------------------------------------------------------ losses

    def _has_lost(self, actor: _Actor, error: Exception) -> bool:
        """True if the error is one of Ray's: the carrier is lost then. Raises Unfit if it could not even start."""
        exceptions, text = self._ray.exceptions, str(error)
        if isinstance(error, exceptions.RuntimeEnvSetupError) or getattr(error, "_actor_init_failed", False):
            raise Unfit(f"a worker cannot start: {_reason(text)}")
        if isinstance(error, exceptions.RayTaskError):
            return False
        died = isinstance(error, exceptions.OutOfMemoryError) or (
            isinstance(error, exceptions.ActorDiedError) and PROCESS_DIED in text
        )
        self._lose(actor, "died" if died else "out of reach", _reason(text), is_surely_dead=died)
        return True

    def _lose(self, actor: _Actor, loss: Loss, text: str, *, is_surely_dead: bool = False) -> None:
        del self._actors[actor.number]
        if loss != "killed":
            with suppress(Exception):
                self._ray.kill(actor.handle, no_restart=True)
        # Its fence was last set for a moment TTL after its own clock, which was read before that answer arrived.
        since = time.monotonic() - actor.answered_at if actor.answered_at else 0.0
        may_live = actor.has_joined and not is_surely_dead
        hold = max(0.0, TTL_SECONDS - since) + MARGIN_SECONDS if may_live else 0.0
        self._parent.send(Gone(actor.number, loss, hold, since, text))


def _reason(text: str) -> str:
    """What matters of Ray's many lines: those after the description of the actor."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if line.split(":")[0] not in ("class_name", "actor_id", "pid", "namespace", "ip")]
    return one_line(" ".join(told[1:] or told))[:400]


def _hang_up() -> None:
    raise EOFError


def main(pipe: int) -> None:
    """Serve the engine at the other end of `pipe`, a descriptor, until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = Connection(pipe)
    plan: DriverPlan = pickle.loads(parent.recv_bytes())
    ray = None
    try:
        ray = connect(plan)
        Driver(ray, parent, plan).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Unfit as unfit:
        with suppress(OSError):
            parent.send(Refused(unfit.is_wrong_input, str(unfit)))
    except BaseException as error:
        with suppress(OSError):
            parent.send(Refused(False, describe(error)))
        raise
    finally:
        # Ray's own end may wait for a head that is dead.
        threading.Timer(SHUTDOWN_PATIENCE, os._exit, (1,)).start()
        if ray is not None:
            with suppress(Exception):
                ray.shutdown()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
