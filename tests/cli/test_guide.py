"""`pinpool guide`: the manual, rendered on a terminal, plain in a pipe."""

from __future__ import annotations

from importlib.resources import files

import pytest

from commands import Desk

PAGES = sorted(page.name.removesuffix(".md") for page in (files("pinpool") / "manual").iterdir())


def test_without_a_topic_every_page_is_named_with_its_title(desk: Desk) -> None:
    code, out, err = desk.run("guide")

    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == PAGES
    assert all(len(line.split()) > 1 for line in out.splitlines())


@pytest.mark.parametrize("page", PAGES)
def test_in_a_pipe_a_page_is_its_text(desk: Desk, page: str) -> None:
    assert desk.run("guide", page).out == (files("pinpool") / "manual" / f"{page}.md").read_text(encoding="utf-8")


def test_a_topic_that_there_is_not_gets_a_hint(desk: Desk) -> None:
    code, out, err = desk.run("guide", "wep")

    assert (code, out) == (2, "")
    assert "no page on 'wep'; did you mean web?" in err
