"""The line of each key in a TOML file: the standard library knows the values, and this the lines."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.spider.toml.keys import KeyPath, known_part, shown_key
from pinpool.spider.toml.lines import key_lines

EVERYTHING = '''
# a comment with [brackets] and = signs
title = "a # no comment" # a comment
"quoted key" = 1
'literal key'.dotted . deep = 'C:\\folder\\'
date = 1979-05-27 07:32:00
numbers = [ 1, 2.5, 0xff,  # more follow
    inf, ]
nested = [ ["a", "b"],
    [ { x = 1, y = { z = [ true ] } } ],
]
text = """
a = 1
""""
more = \'\'\'
[no.table]
'quoted' \'\'\'
escaped = "\\"\\\\" # and = more
empty = []
[table]
inside = 1
[table.below.deep]
inside = { first = "x", "second key" = "y" }
[[list]]
n = 1
[list.inside]
n = 2
[[list.many]]
n = 3
[[list.many]]
n = 4
[[list]]
n = 5
[ "quoted" . table ]
n = 6
'''


def paths_of(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """All keys and elements of what the standard library reads."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from paths_of(part, (*path, key))


def test_every_key_and_element_has_a_line() -> None:
    lines = key_lines(EVERYTHING)

    assert set(lines) == set(paths_of(tomllib.loads(EVERYTHING)))


def test_each_line_is_the_one_where_the_key_stands() -> None:
    text = EVERYTHING.splitlines()
    for path, line in key_lines(EVERYTHING).items():
        key = path[-1]
        if isinstance(key, str) and not text[line - 1].startswith("["):
            assert str(key) in text[line - 1], path

    lines = key_lines(EVERYTHING)
    assert text[lines["numbers", 3] - 1] == "    inf, ]"
    assert text[lines["nested", 1, 0, "y", "z", 0] - 1].startswith("    [ { x")
    assert text[lines["list", 0, "many", 1, "n"] - 1] == "n = 4"
    assert text[lines["list", 1, "n"] - 1] == "n = 5"


@pytest.mark.parametrize("text", ["", "# nothing", "a", "a = ", "[", "[[a", 'a = "', "a = [", "a = {", "= 1", "[[[["])
def test_what_is_no_toml_ends_without_an_error(text: str) -> None:
    key_lines(text)
    key_lines(f"b = 1\n{text}")


KEYS = st.text("ab .\"'#=[]\n\\é", min_size=1, max_size=4)
TEXTS = st.text("ab \"'#=[]{},\n\\\té", max_size=12)


def basic(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def literal(text: str) -> str:
    return f"'''\n{text}'''" if "'" not in text else basic(text)


def lengthy(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{escaped}"""'


VALUES = st.recursive(
    st.one_of(
        TEXTS.map(basic), TEXTS.map(literal), TEXTS.map(lengthy), st.sampled_from(["1", "true", "-inf", "1979-05-27"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: "[\n" + " ,# ]\n".join(parts) + "\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{basic(key)} = {value}" for key, value in pairs.items()) + " }"
        ),
    ),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.dictionaries(KEYS, VALUES, max_size=3))
def test_whatever_is_written_every_key_has_a_line(pairs: dict[str, str], in_table: dict[str, str]) -> None:
    text = "".join(f"{basic(key)} = {value}\n" for key, value in pairs.items())
    text += "[a-table]\n" + "".join(f"{basic(key)} = {value} # end\n" for key, value in in_table.items())

    assert set(key_lines(text)) == set(paths_of(tomllib.loads(text)))


def test_a_key_is_shown_as_a_person_writes_it() -> None:
    assert shown_key(("index", "details", 1, "find")) == "index.details[2].find"
    assert shown_key(("headers", "a b")) == "headers.'a b'"


def test_a_key_in_a_short_form_has_the_line_of_the_short_form() -> None:
    lines = key_lines(
        dedent("""
        [index]
        details = "//a"
        more = ["//b",
                "//c"]
    """)
    )

    assert known_part(("index", "details", 0, "find"), lines) == ("index", "details")
    assert lines[known_part(("index", "more", 1, "find"), lines)] == 5
    assert known_part(("nothing", "here"), lines) == ()
