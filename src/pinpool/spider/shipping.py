"""The files that a spider's code is made of, copied to where workers on other machines get them from."""

import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from pinpool.spider.loader import INSTALLED, packages_around, stands_in_for_another
from pinpool.spider.spider import SpiderRef


def ship(ref: SpiderRef, into: Path) -> SpiderRef:
    """
    Copy the code of a loaded spider into the folder `into`. Returns its ref for workers that start there.

    That is: its file, the modules and packages beside it, those that it lies in, and whatever else it has imported from
    there. Only Python files travel. An installed package does not: each machine has its own.
    """
    if ref.plan is not None:
        return ref  # workers need no file
    if ref.path is None:
        return _ship_module(ref, into)
    file = Path(ref.path).absolute()
    root, _ = packages_around(file)
    for found in {file, *_beside(file.parent), *_beside(root, only=file), *_imported(root)}:
        _copy(found, root, into)
    return ref._replace(path=file.relative_to(root).as_posix())


def _ship_module(ref: SpiderRef, into: Path) -> SpiderRef:
    assert ref.module is not None
    top = import_module(ref.module.partition(".")[0])
    places = [*getattr(top, "__path__", [])] or [getattr(top, "__file__", None) or ""]
    home = Path(places[0]).absolute()
    if not INSTALLED & {*home.parts} and home.exists():
        for found in {*_code(home), *_beside(home.parent, only=home), *_imported(home.parent)}:
            _copy(found, home.parent, into)
    return ref


def _beside(folder: Path, *, only: Path | None = None) -> Iterator[Path]:
    """
    The modules and packages of a folder; with `only`, the package that this file is in, and no other. One that is named
    like a module of Python or of an installed package is none of the spider's.
    """
    for path in folder.iterdir():
        is_wanted = only.is_relative_to(path) if only else not stands_in_for_another(str(path))
        if is_wanted and (path.suffix == ".py" or (path / "__init__.py").is_file()):
            yield from _code(path)


def _code(path: Path) -> Iterator[Path]:
    yield from path.rglob("*.py") if path.is_dir() else (path,)


def _imported(root: Path) -> Iterator[Path]:
    """The files of loaded modules that lie below `root`."""
    for module in list(sys.modules.values()):
        file = Path(getattr(module, "__file__", None) or "").absolute()
        if file.suffix == ".py" and file.is_relative_to(root) and not INSTALLED & {*file.parts} and file.is_file():
            yield file


def _copy(file: Path, root: Path, into: Path) -> None:
    target = into / file.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
