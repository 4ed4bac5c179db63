"""Finds a spider by its ref and imports it."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pinpool.errors import SpiderError
from pinpool.spider.ref import SpiderRef, loading, shown_file
from pinpool.spider.spider import Spider
from pinpool.spider.user_errors import line_inside, problems_in
from pinpool.text import shown_path


def load(ref: SpiderRef, *, seeds: bool = False) -> Spider:
    """
    The spider that `ref` names, imported under a name that is not ``__main__``, checked, and with its `origin` set.

    The folder of a file, or the current one for a module, comes first on ``sys.path`` and stays there. The seeds are
    checked only if asked for: a worker has no use for them, and ``--seeds`` replaces them.

    Raises SpiderError with all that is wrong, each fault with the file and the innermost line of it.
    """
    home = ref.path and str(Path(ref.path).absolute())
    token = loading.set(True)
    try:
        module = _import_file(home) if home else _import_module(ref.module or "")
    finally:
        loading.reset(token)
    name = _find(module, ref)
    spider: Spider = vars(module)[name]
    spider.origin = SpiderRef(home, ref.module, name)
    spider.check(seeds=seeds)
    return spider


def _import_file(path: str) -> ModuleType:
    where = shown_path(shown_file(path))
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
        raise SpiderError(problems_in(error, path, f"{where}:{line}" if line else where)) from None
    return module


def _import_module(name: str) -> ModuleType:
    _first_on_path(str(Path.cwd()))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            hint = f"; the file is {name}.py" if Path(f"{name}.py").is_file() else ""
            raise SpiderError(f"{name}: there is no module {error.name}{hint}") from None
        raise SpiderError(problems_in(error, *_last_place(error, name))) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the user's code raises
        raise SpiderError(problems_in(error, *_last_place(error, name))) from None


def _last_place(error: BaseException, name: str) -> tuple[str, str]:
    """The file of the module `name`, as far as the import came, and ``file:line`` in it."""
    parts = tuple(name.split("."))
    place, trace = ("", name), error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        path = Path(file).with_suffix("")
        tail = path.parent.parts if path.name == "__init__" else path.parts
        if any(tail[-n:] == parts[:n] for n in range(1, len(parts) + 1)):
            place = (file, f"{shown_file(file)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return place


def _find(module: ModuleType, ref: SpiderRef) -> str:
    where = shown_file(getattr(module, "__file__", None) or module.__name__)
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


def _first_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
