"""What the driver says to the engine of what Ray says to it. Ray is played by the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from crawling import until
from pinpool.pool import ray_driver
from pinpool.pool.lease_types import Lease
from pinpool.pool.pids import ground_of_pids
from pinpool.pool.ray_cluster import DriverPlan, Unfit
from pinpool.pool.ray_driver import Driver
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
    Ran,
    Renewed,
    Run,
    Slots,
    Spawn,
)
from pinpool.proxies.proxy import Proxy

M = TypeVar("M")
PATIENCE = 10.0
CLOCK = 500.0
DIED = "The actor died.\n\tpid: 7\nThe actor is dead because its worker process has died."
NODE_DIED = "The actor died.\n\tpid: 7\nThe actor died because its node has died. Node Id: 1"


class ActorDied(Exception):
    """Ray's ActorDiedError."""


class Unavailable(Exception):
    """Ray's ActorUnavailableError."""


class OutOfMemory(Exception):
    """Ray's OutOfMemoryError: it has killed the worker, so that its host goes on."""


class EnvError(Exception):
    """Ray's RuntimeEnvSetupError."""


class TaskError(Exception):
    """Ray's RayTaskError: the actor's own exception."""


class Called:
    """A call of an actor. It has no answer before the test gives one."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments = name, arguments
        self.answer: Future[Any] = Future()

    def future(self) -> Future[Any]:
        return self.answer


class Method:
    def __init__(self, name: str, calls: list[Called]) -> None:
        self._name, self._calls = name, calls

    def options(self, **options: object) -> Method:
        return self

    def remote(self, *arguments: Any) -> Called:
        self._calls.append(Called(self._name, arguments))
        return self._calls[-1]


class Actor:
    """The handle of an actor."""

    def __init__(self) -> None:
        self.calls: list[Called] = []

    def __getattr__(self, name: str) -> Method:
        return Method(name, self.calls)

    def call(self, name: str, number: int = 1) -> Called:
        """The call of this method, or a later one, once it was made."""

        def made() -> list[Called]:
            return [one for one in self.calls if one.name == name]

        until(lambda: len(made()) >= number, f"{name} was called {number} times", PATIENCE)
        return made()[number - 1]


class PlayedRay:
    exceptions = SimpleNamespace(
        ActorDiedError=ActorDied, RayTaskError=TaskError, RuntimeEnvSetupError=EnvError, OutOfMemoryError=OutOfMemory
    )

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.killed: list[Actor] = []
        self.options: dict[str, Any] = {}

    def remote(self, **options: Any) -> Callable[[type], Any]:
        self.options = options

        def made(*arguments: object) -> Actor:
            self.actors.append(Actor())
            return self.actors[-1]

        return lambda kind: SimpleNamespace(remote=made)

    def kill(self, actor: Actor, *, no_restart: bool) -> None:
        assert no_restart
        self.killed.append(actor)

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"proxy": 3.0}}, {"Alive": False, "Resources": {"proxy": 9.0}}]

    def wait(self, calls: list[Called], *, num_returns: int, timeout: float) -> tuple[list[Called], list[Called]]:
        until(lambda: any(one.answer.done() for one in calls), "one has answered", PATIENCE)
        return [one for one in calls if one.answer.done()], [one for one in calls if not one.answer.done()]

    def get(self, call: Called) -> Any:
        return call.answer.result()


class Play:
    """A driver in a thread, with Ray on one side of it and the engine on the other, both played by the test."""

    def __init__(self) -> None:
        self.ray = PlayedRay()
        self.engine, its = Pipe()
        self.raised: BaseException | None = None
        self.said: list[object] = []
        driver = Driver(self.ray, its, DriverPlan(None, 1, None, "", b"kit"))
        self._thread = threading.Thread(target=self._serve, args=(driver, its))
        self._thread.start()

    def _serve(self, driver: Driver, its: Connection) -> None:
        try:
            driver.serve()
        except (EOFError, OSError, Unfit) as error:
            self.raised = error
        its.close()

    def hear(self, kind: type[M]) -> M:
        """The next message of this kind."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            if self.engine.poll(0.05) and isinstance(message := self.engine.recv(), kind):
                return message
        raise AssertionError(f"no {kind.__name__} came")

    def spawn(self, number: int = 1) -> Actor:
        self.engine.send(Spawn(number, (10 * number,)))
        until(lambda: len(self.ray.actors) >= number, "an actor was made", PATIENCE)
        return self.ray.actors[number - 1]

    def join(self, number: int = 1, **changes: Any) -> Actor:
        """A carrier that has joined."""
        actor = self.spawn(number)
        for renewal in (1, 2):
            actor.call("renew", renewal).answer.set_result(tuple(renewed(**changes)))
        assert self.hear(Joined) == Joined(number, "far", 7)
        return actor

    def run(self, actor: Actor, carrier: int = 1) -> Called:
        lease = Lease(1, Proxy("http", "192.0.2.1", 80), probing=False)
        self.engine.send(Run(carrier, 0, 5, (b"work",), lease, 1, 0.0))
        return actor.call("run")

    def end(self) -> None:
        self.engine.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def renewed(address: str = "127.0.0.3", ground: str = "elsewhere", pid: int = 7, complaint: str = "") -> Renewed:
    return Renewed(CLOCK, "far", address, ground, pid, (), b"", complaint)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr(ray_driver, "RENEW_SECONDS", 0.05)
    made = Play()
    yield made
    made.end()


def test_a_carrier_joins_with_the_answer_to_the_renewal_that_opens_its_fence(play: Play) -> None:
    actor = play.spawn()
    first = actor.call("renew")
    assert first.arguments == (0.0, frozenset())
    first.answer.set_result(tuple(renewed()))
    second = actor.call("renew", 2)
    assert second.arguments[0] == CLOCK + TTL_SECONDS
    assert play.hear(Board).carrier == 1
    second.answer.set_result(tuple(renewed()))
    assert play.hear(Joined).host == "far"
    assert play.ray.options["max_restarts"] == play.ray.options["max_task_retries"] == 0


def test_an_answer_reaches_the_engine(play: Play) -> None:
    actor = play.join()
    play.run(actor).answer.set_result(tuple(Ran(b"outcome", 0.5)))
    assert play.hear(Answer) == Answer(1, 0, 5, b"outcome", 0.5)


@pytest.mark.parametrize("error", [ActorDied(DIED), OutOfMemory("memory\nlow")], ids=["died", "out of memory"])
def test_a_carrier_whose_process_has_died_holds_nothing(error: Exception, play: Play) -> None:
    actor = play.join()
    play.run(actor).answer.set_exception(error)
    gone = play.hear(Gone)
    assert (gone.loss, gone.hold) == ("died", 0.0)
    assert not gone.text.startswith("The actor died.")


@pytest.mark.parametrize("error", [ActorDied(NODE_DIED), Unavailable("RpcError")], ids=["its node died", "unavailable"])
def test_one_out_of_reach_holds_its_proxies_until_its_fence_has_ended_it(error: Exception, play: Play) -> None:
    actor = play.join()
    play.run(actor).answer.set_exception(error)
    gone = play.hear(Gone)
    assert gone.loss == "out of reach"
    assert TTL_SECONDS - PATIENCE < gone.hold <= TTL_SECONDS + MARGIN_SECONDS
    assert play.ray.killed == [actor]


def test_one_that_does_not_answer_is_out_of_reach(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.join()
    monkeypatch.setattr(ray_driver, "SILENCE_SECONDS", 0.2)
    gone = play.hear(Gone)
    assert (gone.loss, gone.silent > 0.2) == ("out of reach", True)


def test_one_that_waits_for_a_host_is_not_lost(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_driver, "SILENCE_SECONDS", 0.0)
    play.spawn()
    play.hear(Slots)
    play.engine.send(Spawn(2, (20,)))
    until(lambda: len(play.ray.actors) == 2, "the driver goes on", PATIENCE)
    assert play.ray.killed == []


def test_what_an_actor_raises_is_no_loss(play: Play) -> None:
    actor = play.join()
    play.run(actor).answer.set_exception(TaskError("cannot pickle"))
    assert play.hear(Answer).trouble == "cannot pickle"


@pytest.mark.parametrize(("ground", "is_held"), [("elsewhere", True), ("", True), ("here", False)])
def test_a_killed_carrier_holds_nothing_if_its_process_is_surely_gone(ground: str, is_held: bool, play: Play) -> None:
    gone_pid = 2**22 + 1  # above the largest of Linux
    play.spawn()
    for renewal in (1, 2):
        here = ground_of_pids() if ground == "here" else ground
        play.ray.actors[0].call("renew", renewal).answer.set_result(tuple(renewed(ground=here, pid=gone_pid)))
    play.hear(Joined)
    play.engine.send(Kill(1))
    gone = play.hear(Gone)
    assert (gone.loss, gone.hold > 0) == ("killed", is_held)


def test_proxies_to_leave_travel_with_the_next_renewal(play: Play) -> None:
    actor = play.join()
    play.engine.send(Leave(frozenset({3})))
    actor.call("renew", 3).answer.set_result(tuple(renewed()))
    assert actor.call("renew", 4).arguments[1] == frozenset({3})


def test_only_those_who_confirm_their_end_have_left(play: Play) -> None:
    first, other = play.join(1), play.join(2)
    play.engine.send(Disband())
    first.call("leave").answer.set_result(7)
    assert play.hear(Disbanded) == Disbanded(frozenset({1}))
    assert play.ray.killed == [other]


@pytest.mark.parametrize(
    ("changes", "text", "is_wrong"),
    [
        ({"address": "192.0.2.9"}, "may not have the passwords", True),
        ({"complaint": "SpiderError: s.py:4: no luck"}, "on far cannot start: SpiderError: s.py:4: no luck", False),
    ],
    ids=["a host without TLS", "a spider that does not load there"],
)
def test_no_worker_starts_where_it_must_not(changes: dict[str, Any], text: str, is_wrong: bool, play: Play) -> None:
    play.spawn().call("renew").answer.set_result(tuple(renewed(**changes)))
    until(lambda: play.raised is not None, "the driver gives up", PATIENCE)
    assert isinstance(play.raised, Unfit)
    assert text in str(play.raised)
    assert play.raised.is_wrong_input is is_wrong


def test_a_head_that_does_not_answer_ends_the_run(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.hear(Slots)
    monkeypatch.setattr(ray_driver, "HEAD_PATIENCE", 0.0)
    until(lambda: play.raised is not None, "the driver gives up", PATIENCE)
    assert "the head of the Ray cluster has not answered" in str(play.raised)


def test_it_ends_when_the_engine_is_gone(play: Play) -> None:
    play.join()
    play.engine.close()
    until(lambda: isinstance(play.raised, EOFError | OSError), "the driver ends", PATIENCE)


def test_it_counts_the_slots_of_hosts_that_are_up(play: Play) -> None:
    assert play.hear(Slots) == Slots(3, 1, 3)
