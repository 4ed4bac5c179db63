"""The engines by name. To add one: write it in a file of its own here, and give it a line in `ENGINES`."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from pinpool.errors import UsageError
from pinpool.pool.engine import Engine
from pinpool.pool.job import Job
from pinpool.pool.lease_types import Standing
from pinpool.settings import Settings


class Carries(NamedTuple):
    """An engine: the module whose function `engine_for` makes it, and which options it has a use for."""

    module: str
    options: frozenset[str] = frozenset()


#: Modules are imported only when their engine is asked for.
ENGINES: Mapping[str, Carries] = {
    "processes": Carries("pinpool.pool.processes", frozenset({"threads", "start_method"})),
    "inline": Carries("pinpool.pool.inline", frozenset({"raises"})),
}
DEFAULT_ENGINE = "processes"


class EngineChoice(NamedTuple):
    """
    Which engine a run wants, and how. `start_method` of processes is forkserver where there is one, else spawn. With
    `raises`, what the spider raises ends the run and is raised to the caller. `address` is that of a cluster.
    """

    name: str = DEFAULT_ENGINE
    start_method: str | None = None
    raises: bool = False
    address: str | None = None

    @property
    def passed(self) -> tuple[type[BaseException], ...]:
        """
        What goes through to the caller, of all that a spider raises. Where the spider runs in the calling process,
        Ctrl-C and the end of a debugger's session do so in any case.
        """
        if self.name != "inline":
            return ()
        from bdb import BdbQuit

        return (BaseException,) if self.raises else (KeyboardInterrupt, BdbQuit)

    def check(self, settings: Settings) -> None:
        """Raises UsageError for an engine that is not there, and for options that it has no use for."""
        if self.name not in ENGINES:
            raise UsageError(f"there is no engine {self.name!r}: choose one of {', '.join(ENGINES)}")
        given = {
            "threads": settings.threads > 1,
            "start_method": self.start_method is not None,
            "raises": self.raises,
            "address": self.address is not None,
        }
        for option in sorted(option for option, is_given in given.items() if is_given):
            if option not in ENGINES[self.name].options:
                users = [name for name, engine in ENGINES.items() if option in engine.options]
                word = option.replace("_", " ")
                raise UsageError(f"the engine {self.name} has no use for {word}: leave it out, or take {users[0]}")


class EnginePlan(NamedTuple):
    """
    What an engine is made of. `job` makes the job in each worker; it must survive a pickle. `preload` are modules that
    workers need. With `logs_prints`, what workers print is logged.
    """

    job: Callable[[], Job]
    proxies: Sequence[Standing]
    settings: Settings
    workers: int
    choice: EngineChoice = EngineChoice()
    preload: Sequence[str] = ()
    logs_prints: bool = False

    @property
    def hang_seconds(self) -> float:
        """An attempt that runs for longer hangs."""
        return self.settings.deadline + self.settings.grace


def make_engine(plan: EnginePlan) -> Engine:
    """The engine of this plan, not started yet."""
    engine_for: Callable[[EnginePlan], Engine] = import_module(ENGINES[plan.choice.name].module).engine_for
    return engine_for(plan)
