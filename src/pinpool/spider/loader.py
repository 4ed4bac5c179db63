"""Finds a spider by its ref and imports it."""

import sys
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pinpool.errors import SpiderError
from pinpool.spider.spider import Spider, SpiderRef, importing
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
    The spider that `ref` names, imported under a name that is not ``__main__``, checked, and with its `origin` set.

    The folder of a file, or the current one for a module, is put first on ``sys.path`` and stays there. The seeds are
    checked only if asked for: a worker has no use for them, and ``--seeds`` replaces them.

    Raises SpiderError with all problems, each with the file and the innermost line of it.
    """
    file = ref.path and str(Path(ref.path).absolute())
    folder = str(Path(file).parent if file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
        put_first.add(folder)
    token = importing.set(True)
    try:
        with redirect_stdout(sys.stderr):  # what it prints there must not come between the items
            module = _import_file(file) if file else _import_module(ref.module or "")
    finally:
        importing.reset(token)
    name = _spider_name(module, ref)
    spider: Spider = vars(module)[name]
    spider.origin = SpiderRef(file, ref.module, name)
    spider.check(seeds=seeds)
    return spider


def _import_file(path: str) -> ModuleType:
    where = shown_path(shown_file(path))
    if not path.endswith(".py"):
        raise SpiderError(f"{where}: the name of a spider file must end in .py")
    if not Path(path).is_file():
        raise SpiderError(f"{where}: no such file")
    if _stands_in_for_another(path):
        stem = Path(path).stem
        raise SpiderError(
            f"{where}: Python may take this file for the module {stem}, which others need: "
            f"rename it, for example to {stem}_spider.py"
        )
    name = f"_pinpool_spider_{Path(path).stem}"
    while name in sys.modules and getattr(sys.modules[name], "__file__", None) != path:
        name += "_"
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = module_from_spec(spec)
    # Dataclasses and pickles of the file look their module up here.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's code may raise anything
        del sys.modules[name]
        line = line_inside(error, path)
        raise SpiderError(problems_in(error, path, f"{where}:{line}" if line else where)) from None
    return module


def _stands_in_for_another(path: str) -> bool:
    """Whether it is named like a module of Python or of an installed package, as its folder comes first now."""
    name = Path(path).stem
    if name in sys.stdlib_module_names:
        return name not in _NEVER_NEEDED
    spec = find_spec(name) if name.isidentifier() and name != "__main__" else None
    return bool(spec and spec.origin and INSTALLED & {*Path(spec.origin).parts})


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
    """The variable that holds the spider: the one that `ref` names, else ``spider``, else the only one."""
    where = shown_file(getattr(module, "__file__", None) or module.__name__)
    spiders = {name: value for name, value in vars(module).items() if isinstance(value, Spider)}
    wanted = ref.attribute or "spider"
    if wanted in spiders:
        return wanted
    if not spiders:
        raise SpiderError(f"{where}: no spider found: add  spider = Spider(seeds=[...])")
    names, first = ", ".join(spiders), next(iter(spiders))
    if ref.attribute:
        raise SpiderError(f"{where}: {ref.attribute} is not a spider; the file has {names}")
    if len({id(spider) for spider in spiders.values()}) > 1:
        raise SpiderError(f"{where}: several spiders found ({names}): name one, for example {ref}:{first}")
    return first
