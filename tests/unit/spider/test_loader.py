"""How a worker finds the spider of its parent, and loads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from pinpool.errors import SpiderError
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.spider import Spider, SpiderRef

SITE = "https://site.example/"
WELL = f"""
    from pinpool import Spider

    spider = Spider(seeds=["{SITE}1", "{SITE}2"], pace=1.5)

    @spider.index
    def films(page):
        return None
"""

Write = Callable[..., Path]

# Found again by test_a_spider_in_a_module_can_be_found_again.
declared = Spider(seeds=[SITE])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file into a folder of its own, which is the current one and is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(text: str, name: str = "movies.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def problems_of(text: str, *, seeds: bool = True) -> tuple[str, ...]:
    with pytest.raises(SpiderError) as refused:
        load(parse_ref(text), seeds=seeds)
    assert "Traceback" not in str(refused.value)
    return refused.value.problems


# The ref


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("movies.py", SpiderRef(path="movies.py")),
        ("movies.py:films", SpiderRef(path="movies.py", attribute="films")),
        ("a b/movies.py", SpiderRef(path="a b/movies.py")),
        ("C:\\films\\movies.py", SpiderRef(path="C:\\films\\movies.py")),
        ("C:\\films\\movies.py:films", SpiderRef(path="C:\\films\\movies.py", attribute="films")),
        ("movies.toml", SpiderRef(path="movies.toml")),
        ("./movies", SpiderRef(path="./movies")),
        ("movies", SpiderRef(module="movies")),
        ("package.movies:films", SpiderRef(module="package.movies", attribute="films")),
    ],
)
def test_a_ref_is_parsed_and_written_again(text: str, ref: SpiderRef) -> None:
    assert parse_ref(text) == ref
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize("text", ["", ":", ":films", "mov ies", "..movies", "https:movies:1x", "a-b"])
def test_what_is_neither_file_nor_module_is_refused(text: str) -> None:
    with pytest.raises(SpiderError, match="name a file"):
        parse_ref(text)


# Found again


def test_a_spider_in_a_module_can_be_found_again() -> None:
    ref = declared.ref()

    assert ref == SpiderRef(path=__file__, attribute="declared")


def test_a_spider_made_inside_a_function_cannot_be_found_again() -> None:
    spider = Spider(seeds=[SITE])

    with pytest.raises(SpiderError, match=r"test_loader\.py:\d+: .*not a global variable"):
        spider.ref()


def test_a_spider_that_was_typed_in_cannot_be_found_again() -> None:
    space: dict[str, object] = {"__name__": "__main__", "Spider": Spider}
    exec(compile("spider = Spider(seeds=['https://site.example/'])", "<stdin>", "exec"), space)
    spider = space["spider"]
    assert isinstance(spider, Spider)

    with pytest.raises(SpiderError, match=r"typed in.*save it in a file"):
        spider.ref()


def test_a_scripts_spider_is_found_by_path_and_loaded_without_running_the_script_again(write: Write) -> None:
    script = write(
        WELL
        + """
    if __name__ == "__main__":
        from pinpool.spider.loader import load, parse_ref
        text = str(spider.ref())
        again = load(parse_ref(text))
        print(text, again is not spider, list(again.stages))
    """
    )

    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == f"{script}:spider True ['index']\n"


def test_a_module_of_a_package_is_found_by_name(write: Write) -> None:
    write("", "shop/__init__.py")
    write(WELL + "    from . import parts\n", "shop/movies.py")
    write("", "shop/parts.py")
    write(
        "from pinpool import Spider\nfrom shop.movies import spider\nprint(spider.ref())\n",
        "script.py",
    )

    ran = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == "shop.movies:spider\n"


def test_a_script_that_crawls_while_it_is_imported_is_refused(write: Write) -> None:
    """Without the guard every worker would start the crawl again."""
    write(WELL + "    spider.ref()  # as pinpool.crawl does\n")

    (problem,) = problems_of("movies.py")

    assert problem.startswith("movies.py:8: ")
    assert '__name__ == "__main__"' in problem


# Loading


def test_a_file_is_loaded_and_knows_where_it_came_from(write: Write) -> None:
    path = write(WELL)

    spider = load(parse_ref("movies.py"), seeds=True)

    assert (spider.name, spider.settings.pace, list(spider.stages)) == ("movies", 1.5, ["index"])
    assert spider.ref() == spider.origin == SpiderRef(path=str(path), attribute="spider")


def test_a_file_among_installed_packages_is_loaded_and_stands_in_for_nobody_but_itself(write: Write) -> None:
    path = write(WELL, "site-packages/shelf/movies.py")

    assert [load(parse_ref(str(path))).name for _ in range(2)] == ["movies", "movies"]


def test_a_file_may_import_its_neighbours(write: Write) -> None:
    write(f'SEEDS = ["{SITE}"]\n', "deep/neighbour_of_movies.py")
    write(
        """
        from neighbour_of_movies import SEEDS
        from pinpool import Spider
        spider = Spider(SEEDS)
        spider.index(lambda page: None)
        """,
        "deep/movies.py",
    )

    assert list(load(parse_ref("deep/movies.py")).start()) == [SITE]


@pytest.mark.parametrize(
    "line", ["from .parts import SEEDS", "from . import parts; SEEDS = parts.SEEDS", "from .deeper.parts import SEEDS"]
)
def test_a_file_may_import_its_neighbours_relatively(write: Write, line: str) -> None:
    write(f'SEEDS = ["{SITE}"]\n', "my spiders/parts.py")
    write("from ..parts import SEEDS\n", "my spiders/deeper/parts.py")
    write(f"{line}\nfrom pinpool import Spider\nspider = Spider(SEEDS)\nspider.index(len)\n", "my spiders/movies.py")

    spider = load(parse_ref("my spiders/movies.py"))

    assert (spider.name, list(spider.start())) == ("movies", [SITE])


def test_neighbours_of_the_same_name_in_two_folders_are_not_mixed_up(write: Write) -> None:
    for folder in ("one", "two"):
        write(f'SEEDS = ["{SITE}{folder}"]\n', f"{folder}/parts.py")
        write(
            "from .parts import SEEDS\nfrom pinpool import Spider\nspider = Spider(SEEDS)\nspider.index(len)\n",
            f"{folder}/movies.py",
        )

    assert [list(load(parse_ref(f"{folder}/movies.py")).start()) for folder in ("one", "two")] == [
        [f"{SITE}one"],
        [f"{SITE}two"],
    ]


@pytest.mark.parametrize("line", ["from ..words import SEEDS", "from kiosk.words import SEEDS"])
def test_a_file_of_a_package_may_import_from_the_packages_around_it(write: Write, line: str) -> None:
    write("", "kiosk/__init__.py")
    write(f'SEEDS = ["{SITE}"]\n', "kiosk/words.py")
    write("from .. import words\n", "kiosk/spiders/__init__.py")
    write(f"{line}\nfrom pinpool import Spider\nspider = Spider(SEEDS)\nspider.index(len)\n", "kiosk/spiders/movies.py")

    assert list(load(parse_ref("kiosk/spiders/movies.py")).start()) == [SITE]


def test_a_second_spider_of_a_file_that_is_loaded_is_found_by_its_path(write: Write) -> None:
    path = write(WELL + f"    books = Spider(['{SITE}'], name='books')\n    books.index(films)\n")
    spider = load(parse_ref("movies.py"))

    books = spider._globals["books"]

    assert books.ref() == SpiderRef(path=str(path), attribute="books")


def test_a_file_may_hold_a_dataclass(write: Write) -> None:
    """dataclasses looks the module up by its name."""
    write("from __future__ import annotations\nfrom dataclasses import dataclass\n" + dedent(WELL))
    path = write("@dataclass\nclass Film:\n    title: str\n", "tail")
    movies = path.with_name("movies.py")
    movies.write_text(movies.read_text() + path.read_text())

    assert load(parse_ref("movies.py")).stages


def test_two_files_of_one_name_are_two_spiders(write: Write) -> None:
    write(WELL, "one/movies.py")
    write(WELL.replace("1.5", "2.5"), "two/movies.py")

    one, two = load(parse_ref("one/movies.py")), load(parse_ref("two/movies.py"))

    assert (one.settings.pace, two.settings.pace) == (1.5, 2.5)
    assert one.stages["index"].__module__ != two.stages["index"].__module__


def test_a_module_is_loaded_by_name(write: Write) -> None:
    write("", "shelf/__init__.py")
    write(WELL, "shelf/movies.py")

    spider = load(parse_ref("shelf.movies"))

    assert spider.name == "movies"
    assert str(spider.ref()) == "shelf.movies:spider"


def test_of_several_spiders_the_one_called_spider_or_the_one_named_is_taken(write: Write) -> None:
    write(WELL + f"    books = Spider(['{SITE}'], name='books')\n    books.index(films)\n")

    assert load(parse_ref("movies.py")).name == "movies"
    assert load(parse_ref("movies.py:books")).name == "books"


def test_one_spider_with_two_names_is_one_spider(write: Write) -> None:
    write(WELL.replace("spider =", "films_spider = spider_of_mine =").replace("@spider", "@films_spider"))

    assert load(parse_ref("movies.py")).name == "movies"


def test_the_seeds_are_not_read_unless_asked_for(write: Write) -> None:
    """A worker has no use for them, and getting them may cost a minute."""
    write(WELL.replace('seeds=["https://site.example/1", "https://site.example/2"]', "seeds=lambda: 1 / 0"))

    load(parse_ref("movies.py"))

    assert problems_of("movies.py") == ("movies.py:3: ZeroDivisionError: division by zero",)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("x = 1\nx = = 2\n", ["movies.py:2: SyntaxError: invalid syntax"]),
        (
            "\n\nimport no_such_module_here\n",
            ["movies.py:1: ModuleNotFoundError: No module named 'no_such_module_here'"],
        ),
        ("def f():\n    return 1 / 0\n\nf()\n", ["movies.py:2: ZeroDivisionError: division by zero"]),
        ("import json\njson.loads('{')\n", ["movies.py:2: JSONDecodeError: "]),
        ("import sys\nsys.exit('bye')\n", ["movies.py:2: the file exits while it is imported"]),
        ("class E(Exception):\n    __str__ = None\nraise E\n", ["movies.py:3: E"]),
        ("def f():\n    f()\nf()\n", ["movies.py:2: RecursionError: "]),
        ("x = 1\n", ["movies.py: no spider found: add  spider ="]),
        (
            "from pinpool import Spider\na = Spider()\nb = Spider()\n",
            ["movies.py: several spiders found (a, b): name one, for example movies.py:a"],
        ),
        (
            "from pinpool import Spider\nspider = Spider(\n    pase=1, attempts=0)\n",
            [
                "movies.py:2: pase: no such setting; did you mean pace?",
                "movies.py:2: attempts: 0 is not from 1",
            ],
        ),
        (
            "from pinpool import Spider\nspider = Spider(['page/1'])\n",
            ["movies.py:2: the spider has no stage", "movies.py:2: seed 1: 'page/1' cannot be requested"],
        ),
        (
            "from pinpool import Spider\nspider = Spider()\n"
            "@spider.index\ndef a(p): ...\n@spider.index\ndef b(p): ...\n",
            ["movies.py:5: the stage index is declared twice", "movies.py:2: the spider has no seeds"],
        ),
    ],
)
def test_every_mistake_in_a_file_is_reported_with_its_line(write: Write, text: str, problems: list[str]) -> None:
    write(text)

    for problem, start in zip(problems_of("movies.py"), problems, strict=True):
        assert problem.startswith(start)


def test_a_mistake_in_a_neighbour_is_reported_where_it_is(write: Write) -> None:
    write("x = = 2\n", "neighbour_with_a_slip.py")
    write("\nimport neighbour_with_a_slip\n")

    assert problems_of("movies.py") == ("neighbour_with_a_slip.py:1: SyntaxError: invalid syntax",)


def test_a_neighbour_that_does_not_exist_is_reported_as_it_was_written(write: Write) -> None:
    write("from .no_such_parts import x\n")

    assert problems_of("movies.py") == ("movies.py:1: ModuleNotFoundError: No module named '.no_such_parts'",)


def test_a_mistake_in_the_package_around_a_file_is_reported_where_it_is(write: Write) -> None:
    write("x = 1\n1 / 0\n", "booth/__init__.py")
    write(WELL, "booth/movies.py")

    assert problems_of("booth/movies.py") == ("booth/__init__.py:2: ZeroDivisionError: division by zero",)


def test_a_mistake_in_a_module_is_reported_with_its_line(write: Write) -> None:
    write("", "stall/__init__.py")
    write("x = 1\n1 / 0\n", "stall/movies.py")

    assert problems_of("stall.movies") == ("stall/movies.py:2: ZeroDivisionError: division by zero",)


def test_a_module_that_imports_a_missing_one_is_reported_with_its_line(write: Write) -> None:
    write("x = 1\nimport no_such_module_here\n", "lacking_movies.py")

    assert problems_of("lacking_movies") == (
        "lacking_movies.py:2: ModuleNotFoundError: No module named 'no_such_module_here'",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("films.py", "films.py: no such file"),
        ("./films", "films: the name of a spider file must end in .py"),
        ("no_such_films", "no_such_films: no module named no_such_films"),
        ("json.no_such_films", "json.no_such_films: no module named json.no_such_films"),
        ("movies.py:films", "movies.py: films is not a spider; the file has spider"),
        ("movies.py:nothing", "movies.py: nothing is not a spider; the file has spider"),
    ],
)
def test_a_ref_that_leads_nowhere_says_so(write: Write, text: str, problem: str) -> None:
    write(WELL)

    (reported,) = problems_of(text)

    assert reported.startswith(problem)


def test_a_file_that_cannot_be_read_as_python_is_one_problem(write: Write) -> None:
    write("").write_bytes(b"x = '\xff\xfe'\n\0")

    (problem,) = problems_of("movies.py")

    assert problem.startswith("movies.py")


def test_a_failed_load_leaves_no_module_behind(write: Write) -> None:
    write("1 / 0\n")

    problems_of("movies.py")

    assert not [
        name
        for name, module in sys.modules.items()
        if getattr(module, "__file__", "") == str(Path("movies.py").absolute())
    ]


def test_loading_a_spider_stays_light() -> None:
    """The command line loads spiders before it knows whether a page will ever be parsed."""
    heavy = "{'lxml', 'requests', 'parsel', 'w3lib', 'rich', 'click'}"
    code = f"import sys, pinpool.spider.spider; print(sorted({heavy} & set(sys.modules)))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("name", ["json", "queue", "lxml"])
def test_a_file_named_like_a_module_that_others_need_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text("raise RuntimeError('imported')\n")

    with pytest.raises(SpiderError, match=rf"{name}\.py: Python may take this file.*rename it.*{name}_spider\.py"):
        load(SpiderRef(path=str(file)))
    assert str(tmp_path) not in sys.path  # or the next import of that module would find it


def test_the_folders_of_a_spider_that_does_not_load_are_not_left_on_the_path(write: Write) -> None:
    write("", "shop/__init__.py")
    write("import nothing_of_this_name\n", "shop/films.py")
    before = list(sys.path)

    problems_of("shop/films.py")

    assert sys.path == before


def test_a_file_named_like_a_module_that_nobody_needs_is_a_spider(tmp_path: Path) -> None:
    file = tmp_path / "site.py"
    file.write_text("from pinpool import Spider\nspider = Spider(seeds=['http://films.example/'])\nspider.index(len)\n")

    assert load(SpiderRef(path=str(file))).name == "site"
