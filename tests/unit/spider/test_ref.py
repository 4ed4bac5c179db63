"""How a spider is named: a file or a module, and the variable in it."""

from __future__ import annotations

import pytest

from pinpool.errors import SpiderError
from pinpool.spider.ref import SpiderRef, parse_ref


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
