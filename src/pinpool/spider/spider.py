"""What a user declares, and where it stands: seeds, stages, ban rule, hook, settings; a worker loads it by its ref."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isasyncgenfunction, iscoroutinefunction, signature
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.settings import settings_from
from pinpool.tasks import request
from pinpool.urls import shown_path

Seeds = str | Task | Iterable[str | Task] | Callable[[], Iterable[str | Task]]
Stage = TypeVar("Stage", bound=Callable[..., object])

_SHOWN_SEEDS = 20  # of the bad ones; a list of thousands helps nobody

# Set while a spider's file is being imported: a crawl that starts then would start again in each worker.
_loading: ContextVar[bool] = ContextVar("loading", default=False)


class SpiderRef(NamedTuple):
    """Where a spider stands: a file or an importable module, and the name in it. `str` of it can be parsed again."""

    path: str | None = None
    module: str | None = None
    attribute: str | None = None

    def __str__(self) -> str:
        home = self.path or self.module or ""
        return f"{home}:{self.attribute}" if self.attribute else home


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
            raise SpiderError(_told(error, self.file, self._here(line_inside(error, self.file)))) from None
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
        if _loading.get():
            raise SpiderError(
                "the file starts a crawl while it is being loaded, as each worker would again: "
                'put the crawl below  if __name__ == "__main__":'
            )
        if self.origin is not None:
            return self.origin
        for module in (self._globals, vars(sys.modules["__main__"])):
            names = [name for name, value in module.items() if value is self]
            if names:
                return _home(module, self.name)._replace(
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
        return f"{_shown(self.file)}:{line or self.line}"


def parse_ref(text: str) -> SpiderRef:
    """
    ``movies.py``, ``package.module``, either with ``:name`` behind it, as a ref. The file need not exist yet.

    Raises SpiderError if it can be neither a file nor a module.
    """
    home, colon, attribute = text.strip().rpartition(":")
    # A colon that belongs to the path, as in C:\movies.py, has no name behind it.
    if not (colon and attribute.isidentifier()):
        home, attribute = text.strip(), ""
    if Path(home).suffix in (".py", ".toml") or set(home) & set("/\\"):
        return SpiderRef(path=home, attribute=attribute or None)
    if home and all(part.isidentifier() for part in home.split(".")):
        return SpiderRef(module=home, attribute=attribute or None)
    raise SpiderError(
        f"{shown_path(text)!r} is no spider: name a file such as movies.py, or a module such as package.movies"
    )


def load(ref: SpiderRef, *, seeds: bool = False) -> Spider:
    """
    The spider that `ref` names, imported under a name that is not ``__main__``, checked, and with its `origin` set.

    The folder of a file, or the current one for a module, comes first on ``sys.path`` and stays there. The seeds are
    checked only if asked for: a worker has no use for them, and ``--seeds`` replaces them.

    Raises SpiderError with all that is wrong, each fault with the file and the innermost line of it.
    """
    home = ref.path and str(Path(ref.path).absolute())
    token = _loading.set(True)
    try:
        module = _import_file(home) if home else _import_module(ref.module or "")
    finally:
        _loading.reset(token)
    name = _find(module, ref)
    spider: Spider = vars(module)[name]
    spider.origin = SpiderRef(home, ref.module, name)
    spider.check(seeds=seeds)
    return spider


def line_inside(error: BaseException, file: str) -> int | None:
    """The innermost line of `file` on the way to where `error` was raised."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _import_file(path: str) -> ModuleType:
    where = shown_path(_shown(path))
    if not path.endswith(".py"):
        raise SpiderError(f"{where}: a spider's file ends in .py")
    if not Path(path).is_file():
        raise SpiderError(f"{where}: there is no such file")
    name = f"_pinpool_spider_{Path(path).stem}"
    while name in sys.modules and getattr(sys.modules[name], "__file__", None) != path:
        name += "_"
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = module_from_spec(spec)
    _first_on_path(str(Path(path).parent))
    # Dataclasses and pickles of the file look their module up here.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the user's code raises
        del sys.modules[name]
        line = line_inside(error, path)
        raise SpiderError(_told(error, path, f"{where}:{line}" if line else where)) from None
    return module


def _import_module(name: str) -> ModuleType:
    _first_on_path(str(Path.cwd()))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            hint = f"; the file is {name}.py" if Path(f"{name}.py").is_file() else ""
            raise SpiderError(f"{name}: there is no module {error.name}{hint}") from None
        raise SpiderError(_told(error, *_last_place(error, name))) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the user's code raises
        raise SpiderError(_told(error, *_last_place(error, name))) from None


def _last_place(error: BaseException, name: str) -> tuple[str, str]:
    """The file of the module `name`, as far as the import came, and ``file:line`` in it."""
    parts = tuple(name.split("."))
    place, trace = ("", name), error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        path = Path(file).with_suffix("")
        tail = path.parent.parts if path.name == "__init__" else path.parts
        if any(tail[-n:] == parts[:n] for n in range(1, len(parts) + 1)):
            place = (file, f"{_shown(file)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return place


def _find(module: ModuleType, ref: SpiderRef) -> str:
    where = _shown(getattr(module, "__file__", None) or module.__name__)
    found = {name: value for name, value in vars(module).items() if isinstance(value, Spider)}
    if ref.attribute:
        if ref.attribute in found:
            return ref.attribute
        raise SpiderError(f"{where}: {ref.attribute} is no spider; there is {', '.join(found) or 'none'}")
    if "spider" in found:
        return "spider"
    if not found:
        raise SpiderError(f"{where}: there is no spider in it: write  spider = Spider(seeds=[...])")
    if len({id(spider) for spider in found.values()}) > 1:
        choices = ", ".join(found)
        raise SpiderError(
            f"{where}: there are several spiders, {choices}: name one, as in {ref}:{next(iter(found))}"
        )
    return next(iter(found))


def _home(module: dict[str, Any], name: str) -> SpiderRef:
    spec, file = module.get("__spec__"), module.get("__file__")
    if module.get("__package__"):
        # Only as part of its package can such a file import its siblings.
        return SpiderRef(module=spec.name if spec else module["__name__"])
    if not file or not Path(file).is_file():
        raise SpiderError(
            f"the spider {name} was typed in, so worker processes cannot load it: "
            f"save it in a file, {name}.py, and start that"
        )
    return SpiderRef(path=str(Path(file).absolute()))


def _first_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _told(error: BaseException, file: str, where: str) -> list[str]:
    """What an exception of the user's code says, a line for each problem it brings."""
    if isinstance(error, UsageError):
        return [
            problem if problem.startswith(f"{_shown(file)}:") else f"{where}: {problem}"
            for problem in error.problems
        ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno and Path(error.filename).is_file():
        return [f"{_shown(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}"]
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  also somebody else's __str__
        text = ""
    if isinstance(error, SystemExit):
        return [f"{where}: the file leaves by SystemExit while it is loaded"]
    return [f"{where}: {type(error).__name__}: {text}" if text else f"{where}: {type(error).__name__}"]


def _shown(path: str) -> str:
    """The path as short as it can be: relative where it lies below the current folder."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
