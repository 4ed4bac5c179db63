"""XPath and CSS: how they are told apart, compiled and used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from pinpool.selectors import compiled, evaluate, is_xpath, text_of

ROOT = etree.HTML('<p class="a b" lang="de"> x <b>\n y</b>&nbsp;</p><!-- a remark --><a href="/z">z</a>')


@pytest.mark.parametrize(
    "selector",
    [
        "//a",
        "/html",
        "./a",
        "../a",
        ".",
        "..",
        "(//a)[1]",
        "@href",
        "string(//a)",
        "normalize-space(//a)",
        "count(//a)",
        "xpath:a",
        "  //a",
        "id('x')",
        "text()",
    ],
)
def test_these_are_xpath(selector: str) -> None:
    assert is_xpath(selector)


@pytest.mark.parametrize(
    "selector",
    [
        "a",
        "a.name::attr(href)",
        ".name",
        "#id",
        "a:not(.b)",
        ":is(a)",
        "*",
        "h2::text",
        "[href]",
        "css:a",
        "a > b",
        "a:has(> b)",
        "div:nth-child(2)",
    ],
)
def test_these_are_css(selector: str) -> None:
    assert not is_xpath(selector)
    compiled(selector)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("a::attr(href)", ["/z"]),
        ("css:a::text", ["z"]),
        ("p.a b::text", ["\n y"]),
        ("//p/@class", ["a b"]),
        ("//p", ["x y"]),
        ("p.b", ["x y"]),
        ("p::text", [" x ", "\xa0"]),
        ("//comment()", ["a remark"]),
        ("count(//*)", ["5"]),
        ("(1 div 4)", ["0.25"]),
        ("(1 div 0)", ["Infinity"]),
        ("number(//a)", ["NaN"]),
        ("boolean(//a)", ["true"]),
        ("string(//p/@lang)", ["de"]),
        ("//p[re:test(@class, '^a')]/@lang", ["de"]),
        ("i", []),
    ],
)
def test_what_a_selector_finds_becomes_text(selector: str, found: list[str]) -> None:
    assert [text_of(match) for match in evaluate(selector, ROOT)] == found


@pytest.mark.parametrize(
    ("selector", "kind"),
    [
        ("//a[", "XPath"),
        ("//\ud800", "XPath"),
        ("(" * 5000, "XPath"),
        ("a[", "CSS"),
        ("a::before", "CSS"),
        ("", "CSS"),
        ("$x", "CSS"),
        ("a" + " >" * 3000, "CSS"),
    ],
)
def test_a_selector_that_does_not_compile_is_named_with_the_reason(selector: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"is not an? {kind} selector: .") as refused:
        compiled(selector)

    assert repr(selector)[:20] in str(refused.value)


@pytest.mark.parametrize("selector", ["//a[foo()]", "//a[$x]", "//x:a"])
def test_a_selector_that_fails_only_in_use_is_named_too(selector: str) -> None:
    with pytest.raises(ValueError) as refused:
        evaluate(selector, ROOT)

    assert repr(selector) in str(refused.value)


def test_text_does_not_keep_its_tree_alive() -> None:
    (text,) = evaluate("//a/text()", ROOT)

    assert type(text) is str


def test_a_selector_is_compiled_once() -> None:
    assert compiled("//a/b/c") is compiled("//a/b/c")


def test_each_thread_compiles_for_itself() -> None:
    """Rule: lxml evaluates an XPath for one thread at a time, and a slow page must not hold up the others."""
    with ThreadPoolExecutor(1) as other:
        assert other.submit(compiled, "//a/b/c").result() is not compiled("//a/b/c")
