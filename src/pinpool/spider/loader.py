"""Finds a spider by its ref, and imports it or reads its TOML."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from hashlib import blake2b
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

from pinpool.errors import SpiderError
from pinpool.spider.arguments import unknown_argument, values_for
from pinpool.spider.habits import foreign_spider
from pinpool.spider.spider import FILES, Spider, SpiderRef, importing
from pinpool.spider.toml.stages import spider_of
from pinpool.spider.user_errors import last_place, line_inside, problems_in, shown_file
from pinpool.text import shown_path

#: Folders of installed packages.
INSTALLED = {"site-packages", "dist-packages"}
#: Folders that `load` has put on ``sys.path``.
put_first: set[str] = set()
#: Modules of Python that nobody imports, or only Python itself before it knows of any folder.
_NEVER_NEEDED = {"antigravity", "idlelib", "lib2to3", "site", "sitecustomize", "test", "this", "turtle", "turtledemo"}


def parse_ref(text: str) -> SpiderRef:
    """
    The ref in ``movies.py`` or ``package.module``, either with ``:name`` after it. The file need not exist yet.

    Raises SpiderError if it can be neither a file nor a module.
    """
    home, colon, attribute = text.strip().rpartition(":")
    # A colon that belongs to the path, as in C:\movies.py, has no name after it.
    if not (colon and attribute.isidentifier()):
        home, attribute = text.strip(), ""
    if Path(home).suffix in (".py", ".toml") or set(home) & set("/\\"):
        return SpiderRef(path=home, attribute=attribute or None)
    if home and all(part.isidentifier() for part in home.split(".")):
        return SpiderRef(module=home, attribute=attribute or None)
    raise SpiderError(
        f"{shown_path(text)!r} is not a spider: name a file such as movies.py, or a module such as package.movies"
    )


def load(ref: SpiderRef, *, seeds: bool = False) -> Spider:
    """
    The spider that `ref` names, checked, and with its `origin` set. Python is imported under a name that is not
    ``__main__``, and a function that returns the spider is called with the arguments of `ref`. In a TOML file these
    are its variables. A worker's `ref` has the plan of that file, and the file is not read.

    The folder of a file, or the current one for a module, is put first on ``sys.path``, and stays there if the spider
    loads. The seeds are checked only if asked for: a worker has no use for them, and ``--seeds`` replaces them.

    Raises SpiderError with all problems, each with the file and the innermost line of it.
    """
    file = ref.path and str(Path(ref.path).absolute())
    if file and ref.plan is not None:
        return spider_of(ref.plan, file)
    if file and file.endswith(".toml"):
        return _read_toml(file, ref, seeds=seeds)
    with _importing(), _on_path(str(Path(file).parent if file else Path.cwd())):
        module = _import_file(file) if file else _import_module(ref.module or "")
        name = _spider_name(module, ref)
        spider = vars(module)[name]
        if not isinstance(spider, Spider):
            spider = _made(spider, ref)
        elif ref.arguments:
            where = f"{shown_file(spider.file)}:{spider.line}"
            problems = [f"{where}: {unknown_argument(argument, ())}" for argument, _ in ref.arguments]
            raise SpiderError([*problems, f"{where}: to take arguments, write  def spider(NAME): ... return spider"])
    spider.origin = SpiderRef(file, ref.module, name, ref.arguments)
    spider.check(seeds=seeds)
    return spider


@contextmanager
def _importing() -> Iterator[None]:
    """While the user's file runs: no crawl may start, and what it prints must not come between the items."""
    token = importing.set(True)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        importing.reset(token)


@contextmanager
def _on_path(folder: str) -> Iterator[None]:
    """
    Put a folder first on ``sys.path``. If the block fails, all that is put there meanwhile goes again: a file that is
    refused because it is named like a module of Python must not become that module for whatever is imported next.
    """
    before = frozenset(sys.path)
    _put_on_path(folder)
    try:
        yield
    except BaseException:
        for put in put_first - before:
            put_first.remove(put)
            with suppress(ValueError):  # the user's code may change the path
                sys.path.remove(put)
        raise


def _put_on_path(folder: str, place: int = 0) -> None:
    if folder not in sys.path:
        sys.path.insert(place, folder)
        put_first.add(folder)


def _read_toml(file: str, ref: SpiderRef, *, seeds: bool) -> Spider:
    if ref.attribute:
        raise SpiderError(f"{shown_path(shown_file(file))}: is one spider: leave :{ref.attribute} out")
    # Workers never come here, and it loads what is heavy.
    from pinpool.spider.toml.load import load_toml

    spider = load_toml(file, ref.arguments)
    spider.check(seeds=seeds)
    return spider


def _import_file(path: str) -> ModuleType:
    where = shown_path(shown_file(path))
    if not path.endswith(".py"):
        raise SpiderError(f"{where}: the name of a spider file must end in .py or .toml")
    if not Path(path).is_file():
        raise SpiderError(f"{where}: no such file")
    if stands_in_for_another(path):
        stem = Path(path).stem
        raise SpiderError(
            f"{where}: Python may take this file for the module {stem}, which others need: "
            f"rename it, for example to {stem}_spider.py"
        )
    root, inner = _in_packages(Path(path))
    package = ".".join([root, *inner])
    name = f"{package}.{Path(path).stem.replace('.', '_')}"
    try:
        import_module(package)
        spec = spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # it ends in .py
        module = module_from_spec(spec)
        # Dataclasses and pickles of the file look their module up here.
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's code may raise anything
        sys.modules.pop(name, None)
        line, file = line_inside(error, path), path
        if line is not None:
            where = f"{where}:{line}"
        elif inner:
            file, place = last_place(error, ".".join(inner))
            where = place if file else where
        raise SpiderError([problem.replace(f"{root}.", ".") for problem in problems_in(error, file, where)]) from None
    return module


def _in_packages(file: Path) -> tuple[str, list[str]]:
    """
    The packages in which to import a spider file: a made one that stands for its folder, so that ``from .parts import
    x`` finds its neighbours, and those that it really lies in.

    If the folder has an ``__init__.py``, the made one stands for the folder above all such folders, which is put on
    ``sys.path``, too: ``from ..items import x`` then works as well.
    """
    root, inner = packages_around(file)
    name = FILES + blake2b(str(root).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(root)]
        sys.modules[name] = module_from_spec(spec)
    if inner:
        _put_on_path(str(root), 1)
    return name, inner


def packages_around(file: Path) -> tuple[Path, list[str]]:
    """The folder above all packages that a file lies in, and the names of these packages, the outermost first."""
    root, inner = file.parent, list[str]()
    while (root / "__init__.py").is_file() and root.name.isidentifier() and root.parent != root:
        inner.insert(0, root.name)
        root = root.parent
    return root, inner


def stands_in_for_another(path: str) -> bool:
    """Whether it is named like a module of Python or of an installed package, as its folder comes first now."""
    name = Path(path).stem
    if name in sys.stdlib_module_names:
        return name not in _NEVER_NEEDED
    spec = find_spec(name) if name.isidentifier() and name != "__main__" else None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() == Path(path).resolve():
        return False  # a spider may be installed, too
    return bool(INSTALLED & {*Path(spec.origin).parts})


def _import_module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's code may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            hint = f"; the file is {name}.py" if Path(f"{name}.py").is_file() else ""
            raise SpiderError(f"{name}: no module named {missing}{hint}") from None
        raise SpiderError(problems_in(error, *last_place(error, name))) from None


def _spider_name(module: ModuleType, ref: SpiderRef) -> str:
    """
    The variable that holds the spider, or the function that returns it: the one that `ref` names, else ``spider``,
    else the only spider.
    """
    where = shown_file(getattr(module, "__file__", None) or module.__name__)
    spiders = {name: value for name, value in vars(module).items() if isinstance(value, Spider)}
    wanted = ref.attribute or "spider"
    if wanted in spiders or _makes_a_spider(vars(module).get(wanted), spiders.values()):
        return wanted
    if not spiders:
        foreign = next((name for name, value in vars(module).items() if foreign_spider(value)), None)
        if foreign is not None:
            raise SpiderError(
                f"{where}: {foreign} is a spider of another scraper: here a spider is a variable,"
                "  spider = Spider(seeds=[...]), and each stage a function below @spider.index or @spider.detail"
            )
        raise SpiderError(f"{where}: no spider found: add  spider = Spider(seeds=[...])")
    names, first = ", ".join(spiders), next(iter(spiders))
    if ref.attribute:
        raise SpiderError(f"{where}: {ref.attribute} is not a spider; the file has {names}")
    if len({id(spider) for spider in spiders.values()}) > 1:
        raise SpiderError(f"{where}: several spiders found ({names}): name one, for example {ref}:{first}")
    return first


def _makes_a_spider(value: object, spiders: Iterable[Spider]) -> bool:
    """Whether it is a function that may return a spider: none that a spider calls itself."""
    called = [part for spider in spiders for part in (*spider.stages.values(), spider.ban_rule, spider.warm)]
    return isfunction(value) and value not in called


def _made(function: Callable[..., Any], ref: SpiderRef) -> Spider:
    """What the function returns for the arguments of `ref`. Raises SpiderError."""
    file, line = function.__code__.co_filename, function.__code__.co_firstlineno
    shown = shown_path(shown_file(file))
    try:
        values = values_for(function, dict(ref.arguments))
    except SpiderError as error:
        raise SpiderError([f"{shown}:{line}: {problem}" for problem in error.problems]) from None
    try:
        made = function(**values)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's code may raise anything
        raise SpiderError(problems_in(error, file, f"{shown}:{line_inside(error, file) or line}")) from None
    if not isinstance(made, Spider):
        kind = type(made).__name__
        raise SpiderError(f"{shown}:{line}: {function.__name__}() returns {kind}: end it with  return spider")
    return made
