"""A spider's code, copied to where workers on other machines get it from, is all that they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pinpool.spider.loader import load, parse_ref
from pinpool.spider.shipping import ship

SPIDER = """
from pinpool import Spider

spider = Spider(seeds=["http://site.test/"])


@spider.index
def films(page):
    return {}
"""


def write(folder: Path, **files: str) -> None:
    """`a__b` is the file a/b.py, and `a__` is a/__init__.py."""
    for name, text in files.items():
        *folders, stem = name.split("__")
        path = folder.joinpath(*folders, f"{stem or '__init__'}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def shipped(spider: str, here: Path) -> set[str]:
    """Ship a spider in a process of its own, load it elsewhere. Returns the files that travelled."""
    there, code = here.parent / "there", "import sys; from pathlib import Path\n"
    there.mkdir()
    code += "from pinpool.spider.loader import load, parse_ref; from pinpool.spider.shipping import ship\n"
    first = code + f"spider = load(parse_ref({spider!r})); print(repr(tuple(ship(spider.ref(), Path({str(there)!r})))))"
    ref = subprocess.run(
        [sys.executable, "-P", "-c", first], cwd=here, check=True, capture_output=True, text=True
    ).stdout
    here.rename(here.parent / "gone")
    second = code + f"from pinpool.spider.spider import SpiderRef; print(load(SpiderRef(*{ref.strip()})))"
    loaded = subprocess.run([sys.executable, "-P", "-c", second], cwd=there, check=True, capture_output=True, text=True)
    assert loaded.stdout.startswith("<Spider ")
    return {str(path.relative_to(there)) for path in there.rglob("*.py")}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_a_file_travels_with_its_neighbours(here: Path) -> None:
    write(here, movies="import names\nfrom words.short import WORD\n" + SPIDER, names="", words__="")
    write(here, words__short="WORD = 1", deep__unused="", words__parts__more="")
    write(here, json="raise RuntimeError('in the way')")
    (here / "passwords.txt").write_text("secret")
    assert shipped("movies.py", here) == {
        "movies.py",
        "names.py",
        "words/__init__.py",
        "words/short.py",
        "words/parts/more.py",
    }


def test_a_file_in_a_package_travels_with_the_package(here: Path) -> None:
    write(here, shop__="", shop__spiders__="", shop__items="NAME = 1", other="")
    write(here, shop__spiders__shoes="from ..items import NAME\nfrom . import base\n" + SPIDER, shop__spiders__base="")
    found = shipped("shop/spiders/shoes.py", here)
    assert found >= {"shop/__init__.py", "shop/items.py", "shop/spiders/shoes.py", "shop/spiders/base.py"}


def test_a_module_of_the_current_folder_travels(here: Path) -> None:
    write(here, shop__="", shop__shoes="from shop.items import NAME\n" + SPIDER, shop__items="NAME = 1")
    assert shipped("shop.shoes", here) == {"shop/__init__.py", "shop/shoes.py", "shop/items.py"}


def test_what_was_imported_from_a_folder_without_an_init_file_travels(here: Path) -> None:
    write(here, movies="import plain.inner\n" + SPIDER, plain__inner="", plain__unused="")
    assert shipped("movies.py", here) == {"movies.py", "plain/inner.py"}


def test_a_toml_file_stays_at_home(tmp_path: Path) -> None:
    ref = load(parse_ref("pinpool.examples.movies")).ref()._replace(plan="{}")
    assert ship(ref, tmp_path) == ref
    assert list(tmp_path.iterdir()) == []
