"""
The engines by name. To add one: write it in a file of its own here, and give it a line in `ENGINES`.

The command line reads this for its help, so it imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple

from pinpool.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pinpool.pool.engine import Engine
    from pinpool.pool.job import Job
    from pinpool.pool.lease_types import Standing
    from pinpool.settings import Settings


#: Where workers run: in processes that the caller starts, in the caller itself, or on hosts of a cluster.
Where = Literal["processes", "caller", "hosts"]


class Carries(NamedTuple):
    """
    An engine: the module whose function `engine_for` makes it, where its workers run, which options it has a use for,
    and the package that it needs, which is also the name of our extra.
    """

    module: str
    where: Where
    options: frozenset[str] = frozenset()
    package: str | None = None


#: Modules are imported only when their engine is asked for.
ENGINES: Mapping[str, Carries] = {
    "processes": Carries("pinpool.pool.processes", "processes", frozenset({"threads", "start_method"})),
    "inline": Carries("pinpool.pool.inline", "caller", frozenset({"raises"})),
    "ray": Carries("pinpool.pool.ray_engine", "hosts", frozenset({"threads", "address"}), package="ray"),
}
DEFAULT_ENGINE = "processes"


def where_it_runs(engine: str) -> Where | None:
    """Where the workers of this engine of a journal ran; None if it is not known here."""
    return ENGINES[engine].where if engine in ENGINES else None


#: How people write an option of an engine: in Python, and on the command line.
PYTHON_WORDS: Mapping[str, str] = {
    "engine": 'engine="{}"',
    "threads": "threads",
    "start_method": "start_method",
    "raises": "raises",
    "address": "address",
}
OPTION_WORDS: Mapping[str, str] = {
    "engine": "--engine {}",
    "threads": "--threads",
    "start_method": "--start-method",
    "raises": "--raise",
    "address": "--address",
}


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
    def where(self) -> Where:
        """Where the workers run."""
        return ENGINES[self.name].where

    @property
    def quits(self) -> tuple[type[BaseException], ...]:
        """
        By what somebody ends a run from within a page, where that is in the calling process: Ctrl-C, and the `q` of a
        debugger.
        """
        if self.where != "caller":
            return ()
        from bdb import BdbQuit

        return (KeyboardInterrupt, BdbQuit)

    @property
    def passed(self) -> tuple[type[BaseException], ...]:
        """What goes through to the caller, of all that a spider raises. Everything else is evidence."""
        return (BaseException,) if self.raises else self.quits

    def has_use_for(self, option: str) -> bool:
        """True if the engine knows what to do with `threads`, `start_method`, `raises` or `address`."""
        return option in ENGINES[self.name].options

    def check(self, *, threads: bool, words: Mapping[str, str] = PYTHON_WORDS) -> None:
        """
        Raises UsageError, with a line for each, for an engine that is not there, or whose package is not, and for
        options that it has no use for. `threads`: whether they were asked for. `words` say how people write an option.
        """
        if self.name not in ENGINES:
            asked = words["engine"].format(self.name)
            raise UsageError(f"{asked}: there is no such engine: choose one of {', '.join(ENGINES)}")
        given = {
            "threads": threads,
            "start_method": self.start_method is not None,
            "raises": self.raises,
            "address": self.address is not None,
        }
        problems = [
            f"{words[option]}: the engine {self.name} has no use for it: leave it out, or take {_users(option, words)}"
            for option, is_given in given.items()
            if is_given and not self.has_use_for(option)
        ]
        package = ENGINES[self.name].package
        if package is not None and find_spec(package) is None:
            problems.append(f"the engine {self.name} needs one package more: pip install 'pinpool[{package}]'")
        if problems:
            raise UsageError(problems)


def _users(option: str, words: Mapping[str, str]) -> str:
    """The engines that have a use for the option, as people write them."""
    return " or ".join(words["engine"].format(name) for name, one in ENGINES.items() if option in one.options)


class EnginePlan(NamedTuple):
    """
    What an engine is made of. `job` makes the job in each worker; it must survive a pickle. `preload` are modules that
    workers need. With `logs_prints`, what workers print is logged. Where workers are on hosts, `files` is a folder with
    the files of the job's code, and they must see the folder `parts` before they download anything.
    """

    job: Callable[[], Job]
    proxies: Sequence[Standing]
    settings: Settings
    workers: int
    choice: EngineChoice = EngineChoice()
    preload: Sequence[str] = ()
    logs_prints: bool = False
    files: Path | None = None
    parts: Path | None = None

    @property
    def hang_seconds(self) -> float:
        """An attempt that runs for longer hangs."""
        return self.settings.deadline + self.settings.grace


def make_engine(plan: EnginePlan) -> Engine:
    """The engine of this plan, not started yet."""
    engine_for: Callable[[EnginePlan], Engine] = import_module(ENGINES[plan.choice.name].module).engine_for
    return engine_for(plan)
