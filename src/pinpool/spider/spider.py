"""The declaration of a spider: seeds, stages, ban rule, warm-up and settings."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from inspect import isasyncgenfunction, iscoroutinefunction, signature
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pinpool.errors import SpiderError
from pinpool.model import FILE_STAGE, Task
from pinpool.settings import settings_from
from pinpool.spider.user_errors import line_inside, problems_in, shown_file
from pinpool.tasks import request
from pinpool.text import counted

Seeds = str | Task | Iterable[str | Task] | Callable[[], Iterable[str | Task]]
Stage = TypeVar("Stage", bound=Callable[..., object])

#: Set while a spider file is imported: a crawl that starts then would start again in each worker.
importing: ContextVar[bool] = ContextVar("importing", default=False)

#: What the packages are called in which `load` imports spider files: each stands for a folder.
FILES = "_pinpool_files_"

_SHOWN_SEEDS = 20  # bad seeds that are listed; the rest are counted


class SpiderRef(NamedTuple):
    """
    Where a spider is: a file or an importable module, the variable in it, and the arguments of its function as text.

    `parse_ref` reads its `str`, which leaves the arguments out: they may be secret.
    `plan` is the checked content of a TOML file, for workers; see `spider.toml.stages`.
    """

    path: str | None = None
    module: str | None = None
    attribute: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    plan: str | None = None

    def __str__(self) -> str:
        home = self.path or self.module or ""
        return f"{home}:{self.attribute}" if self.attribute else home


class Spider:
    """
    The declaration of a site.

    `seeds` are URLs or tasks, or a function that returns them. `name` names the journal; the default is the name of
    the file. Every other keyword is a setting. Raises SettingsError with all wrong settings at once. All other
    problems are reported by `check`, once the whole file has been read.
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
        self.name = self._checked_name(name)
        self.settings = settings_from(settings)

    def __init_subclass__(cls, **more: object) -> None:
        super().__init_subclass__(**more)
        if {"start_urls", "parse", "start_requests"} & {*vars(cls)}:
            raise SpiderError(
                f"{cls.__name__}: a spider is a variable, not a class: write  spider = Spider(seeds=[...])"
                "  and a function for each stage below @spider.index or @spider.detail"
            )

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
            self._report(name, 'a stage needs a name: @spider.stage("reviews")')
            return lambda function: function

        def declare(function: Stage) -> Stage:
            if not name.isidentifier():
                self._report(function, f"{name!r} is not a stage name: use letters, digits and _ only")
            elif name == FILE_STAGE:
                self._report(function, f"the stage {name} is that of page.file: choose another name")
            elif name in self.stages:
                self._report(function, f"the stage {name} is declared twice")
            else:
                self.stages[name] = function
            return self._checked_function(function, "the page")

        return declare

    def ban(self, function: Stage) -> Stage:
        """Declare the ban rule: `function` takes a Page, and returns the reason why it is a ban, or None."""
        if self.ban_rule is not None:
            self._report(function, "a ban rule is declared twice")
        self.ban_rule = function
        return self._checked_function(function, "the page")

    def on_pin(self, function: Stage) -> Stage:
        """Declare what warms a new pin: `function` takes the pinned requests.Session, to log in or fetch a cookie."""
        if self.warm is not None:
            self._report(function, "on_pin is declared twice")
        self.warm = function
        return self._checked_function(function, "the session")

    @property
    def first_stage(self) -> str:
        """The stage of a seed that is only a URL: index, or the first one declared."""
        return "index" if "index" in self.stages else next(iter(self.stages), "index")

    def start(self) -> Sequence[str | Task]:
        """The seeds as given; a function or generator runs once. Raises SpiderError if it raises."""
        if isinstance(self.seeds, list | tuple) and not isinstance(self.seeds, Task):
            return self.seeds
        try:
            given = self.seeds() if callable(self.seeds) else self.seeds
            self.seeds = kept = (given,) if isinstance(given, str | Task) else tuple(given)
        except Exception as error:  # noqa: BLE001  the user's code may raise anything
            where = self._here(line_inside(error, self.file))
            raise SpiderError(problems_in(error, self.file, where)) from None
        return kept

    def check(self, *, seeds: bool = True) -> None:
        """Raise SpiderError with every problem of this declaration. `seeds` says whether to check these as well."""
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
        its file is being imported.
        """
        if importing.get():
            raise SpiderError(
                "the file starts a crawl while it is imported, and each worker would start it again: "
                'put the crawl below  if __name__ == "__main__":'
            )
        if self.origin is not None:
            return self.origin
        for module in (self._globals, vars(sys.modules["__main__"])):
            names = [name for name, value in module.items() if value is self]
            if names:
                name = "spider" if "spider" in names else names[0]
                return self._home(module)._replace(attribute=name)
        raise SpiderError(
            f"{self._here()}: worker processes cannot find this spider, because it is not a global variable: "
            "write  spider = Spider(...)  at the top level of the file"
        )

    def _home(self, module: dict[str, Any]) -> SpiderRef:
        spec, file = module.get("__spec__"), module.get("__file__")
        if module.get("__package__") and not str(module["__package__"]).startswith(FILES):
            # Only as part of its package can such a file import its siblings.
            return SpiderRef(module=spec.name if spec else module["__name__"])
        if not file or not Path(file).is_file():
            raise SpiderError(
                f"the spider {self.name} was typed in, so worker processes cannot load it: "
                f"save it in a file, {self.name}.py, and run that"
            )
        return SpiderRef(path=str(Path(file).absolute()))

    def _checked_name(self, name: str | None) -> str:
        if name is None:
            module = str(self._globals.get("__name__", "spider")).rpartition(".")[2]
            return Path(self.file).stem if Path(self.file).suffix == ".py" else module.strip("_") or "spider"
        if not name.strip(". ") or not name.isprintable() or set(name) & set("/\\:"):
            self._problems.append(f"{self._here()}: the name {name!r} cannot be used as a file name")
            return "spider"
        return name

    def _seed_problems(self) -> list[str]:
        problems = []
        for number, seed in enumerate(self.start(), 1):
            try:
                if not isinstance(seed, Task):
                    request(seed, stage=self.first_stage)
                elif self.stages and seed.stage not in (*self.stages, FILE_STAGE):
                    raise ValueError(f"no stage {seed.stage}; the spider has {', '.join(self.stages)}")
            except ValueError as error:
                problems.append(f"seed {number}: {error}")
        if more := problems[_SHOWN_SEEDS:]:
            problems[_SHOWN_SEEDS:] = [f"and {counted(len(more), 'more seed')} like these"]
        if not self.start():
            foreign = "start_urls" in self._globals or "start_urls" in vars(self)
            write = "write Spider(seeds=start_urls)" if foreign else "write Spider(seeds=[...])"
            problems = [f"the spider has no seeds: {write}, or name a file with --seeds"]
        return [f"{self._here()}: {problem}" for problem in problems]

    def _checked_function(self, function: Stage, argument: str) -> Stage:
        if iscoroutinefunction(function) or isasyncgenfunction(function):
            self._report(function, "write def, not async def: a worker does one page at a time")
        try:
            signature(function).bind(None)
        except TypeError:
            self._report(function, f"the function must take one argument, {argument}")
        except ValueError:
            pass  # a builtin without a signature
        return function

    def _report(self, function: object, problem: str) -> None:
        code = getattr(function, "__code__", None)
        self._problems.append(f"{self._here(code.co_firstlineno if code else None)}: {problem}")

    def _here(self, line: int | None = None) -> str:
        return f"{shown_file(self.file)}:{line or self.line}"
