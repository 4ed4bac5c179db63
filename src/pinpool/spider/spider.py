"""What a user declares, and where it stands: seeds, stages, ban rule, hook, settings; a worker loads it by its ref."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from inspect import isasyncgenfunction, iscoroutinefunction, signature
from pathlib import Path
from typing import Any, TypeVar

from pinpool.errors import SpiderError
from pinpool.model import Task
from pinpool.settings import settings_from
from pinpool.spider.ref import SpiderRef, home_of, loading, shown_file
from pinpool.spider.user_errors import line_inside, problems_in
from pinpool.tasks import request

Seeds = str | Task | Iterable[str | Task] | Callable[[], Iterable[str | Task]]
Stage = TypeVar("Stage", bound=Callable[..., object])

_SHOWN_SEEDS = 20  # of the bad ones; a list of thousands helps nobody


class Spider:
    """
    The declaration of a site.

    `seeds` are URLs or tasks, or a function that returns them. `name` names the journal; it is the file's name
    unless given. Every other keyword is a setting. Raises SettingsError, with all wrong settings at once; the other
    faults are reported by `check`, when the file has been read to its end.
    """

    def __init__(self, seeds: Seeds = (), name: str | None = None, **settings: object) -> None:
        frame = sys._getframe(1)
        self._globals: dict[str, Any] = frame.f_globals
        self.file: str = frame.f_code.co_filename
        self.line: int = frame.f_lineno
        self.seeds = seeds
        self.stages: dict[str, Callable[[Any], object]] = {}
        self.ban_rule: Callable[[Any], object] | None = None
        self.warm: Callable[[Any], object] | None = None
        self.origin: SpiderRef | None = None
        self._problems: list[str] = []
        self.name = self._named(name)
        self.settings = settings_from(settings)

    def __repr__(self) -> str:
        return f"<Spider {self.name}: {', '.join(self.stages) or 'no stage'}>"

    def index(self, function: Stage) -> Stage:
        """Declare the stage of list pages: `function` takes a Page, and yields tasks, items, or both."""
        return self.stage("index")(function)

    def detail(self, function: Stage) -> Stage:
        """Declare the stage of detail pages: `function` takes a Page, and returns its item."""
        return self.stage("detail")(function)

    def stage(self, name: str) -> Callable[[Stage], Stage]:
        """Declare a further stage: ``@spider.stage("reviews")``."""
        if not isinstance(name, str):
            self._object(name, 'a stage needs a name: @spider.stage("reviews")')
            return lambda function: function

        def declare(function: Stage) -> Stage:
            if not name.isidentifier():
                self._object(function, f"{name!r} is no name of a stage: letters, digits and _ only")
            elif name in self.stages:
                self._object(function, f"the stage {name} is declared twice")
            else:
                self.stages[name] = function
            self._one_argument(function, "the page")
            return function

        return declare

    def ban(self, function: Stage) -> Stage:
        """Declare the ban rule: `function` takes a Page, and returns the reason why it is a ban, or None."""
        if self.ban_rule is not None:
            self._object(function, "a ban rule is declared twice")
        self.ban_rule = function
        return self._one_argument(function, "the page")

    def on_pin(self, function: Stage) -> Stage:
        """Declare what warms a new pin: `function` takes the pinned requests.Session, to log in or fetch a cookie."""
        if self.warm is not None:
            self._object(function, "on_pin is declared twice")
        self.warm = function
        return self._one_argument(function, "the session")

    @property
    def first_stage(self) -> str:
        """The stage of a seed that is only a URL: index, or the first one declared."""
        return "index" if "index" in self.stages else next(iter(self.stages), "index")

    def start(self) -> Sequence[str | Task]:
        """
        The seeds, as they were given. They are kept: a function is called once, a generator run once.

        Raises SpiderError if the user's code for it does.
        """
        if isinstance(self.seeds, list | tuple) and not isinstance(self.seeds, Task):
            return self.seeds
        try:
            given = self.seeds() if callable(self.seeds) else self.seeds
            self.seeds = settled = (given,) if isinstance(given, str | Task) else tuple(given)
        except Exception as error:  # noqa: BLE001  the user's code; whatever it is, there are no seeds
            raise SpiderError(
                problems_in(error, self.file, self._here(line_inside(error, self.file)))
            ) from None
        return settled

    def check(self, *, seeds: bool = True) -> None:
        """Raise SpiderError with everything that is wrong with this declaration; `seeds` says whether with theirs."""
        problems = list(self._problems)
        if not self.stages:
            problems.append(f"{self._here()}: the spider has no stage: put @spider.index above a function")
        if seeds:
            try:
                problems += self._seed_problems()
            except SpiderError as error:
                problems += error.problems
        if problems:
            raise SpiderError(problems)

    def ref(self) -> SpiderRef:
        """
        Where a worker process finds this spider.

        Raises SpiderError if it cannot be found again (typed into an interpreter, or made inside a function), or if
        its own file is just being loaded.
        """
        if loading.get():
            raise SpiderError(
                "the file starts a crawl while it is being loaded, as each worker would again: "
                'put the crawl below  if __name__ == "__main__":'
            )
        if self.origin is not None:
            return self.origin
        for module in (self._globals, vars(sys.modules["__main__"])):
            names = [name for name, value in module.items() if value is self]
            if names:
                return home_of(module, self.name)._replace(
                    attribute="spider" if "spider" in names else names[0]
                )
        raise SpiderError(
            f"{self._here()}: worker processes cannot find this spider, because it is no global variable: "
            "write  spider = Spider(...)  at the top level of the file"
        )

    def _named(self, name: str | None) -> str:
        if name is None:
            module = str(self._globals.get("__name__", "spider")).rpartition(".")[2]
            return Path(self.file).stem if Path(self.file).suffix == ".py" else module.strip("_") or "spider"
        if not name.strip(". ") or not name.isprintable() or set(name) & set("/\\:"):
            self._problems.append(f"{self._here()}: the name {name!r} cannot be the name of a file")
            return "spider"
        return name

    def _seed_problems(self) -> Iterator[str]:
        bad = 0
        for number, seed in enumerate(self.start(), 1):
            try:
                if not isinstance(seed, Task):
                    request(seed, stage=self.first_stage)
                elif self.stages and seed.stage not in self.stages:
                    raise ValueError(f"there is no stage {seed.stage}, only {', '.join(self.stages)}")
            except ValueError as error:
                bad += 1
                if bad <= _SHOWN_SEEDS:
                    yield f"{self._here()}: seed {number}: {error}"
        if bad > _SHOWN_SEEDS:
            yield f"{self._here()}: and {bad - _SHOWN_SEEDS} more seeds like these"
        if not self.start():
            way = "give it some by Spider(seeds=[...]), or name a file with --seeds"
            yield f"{self._here()}: the spider has no seeds: {way}"

    def _one_argument(self, function: Stage, what: str) -> Stage:
        if iscoroutinefunction(function) or isasyncgenfunction(function):
            self._object(function, "write def, not async def: a worker does one page at a time")
        try:
            signature(function).bind(None)
        except TypeError:
            self._object(function, f"the function takes one argument, {what}")
        except ValueError:
            pass  # a builtin that does not tell its arguments
        return function

    def _object(self, function: object, problem: str) -> None:
        code = getattr(function, "__code__", None)
        self._problems.append(f"{self._here(code.co_firstlineno if code else None)}: {problem}")

    def _here(self, line: int | None = None) -> str:
        return f"{shown_file(self.file)}:{line or self.line}"
