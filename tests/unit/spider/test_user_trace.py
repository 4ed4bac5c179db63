"""The traceback of the user's own code."""

from __future__ import annotations

import json
from pathlib import Path

from pinpool import Page
from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.user_trace import trace_lines
from pinpool.tasks import request

HELPER = """\
import json


def year(text):
    return json.loads(text)["year"]


def deeper(level):
    return deeper(level - 1) if level else year("")
"""


def raised(code: str, file: str, **names: object) -> BaseException:
    try:
        exec(compile(code, file, "exec"), dict(names))
    except BaseException as error:
        assert error.__traceback__ is not None
        return error.with_traceback(error.__traceback__.tb_next)  # without this function
    raise AssertionError("nothing was raised")


def test_only_the_users_calls_are_shown_the_innermost_last_with_their_lines(tmp_path: Path) -> None:
    film = tmp_path / "films.py"
    film.write_text(HELPER + "\n\nyear('{')\n", encoding="utf-8")

    error = raised(film.read_text(), str(film))

    assert isinstance(error, json.JSONDecodeError)
    assert trace_lines(error, str(film)) == [
        f"  {film}:12, in <module>",
        "    year('{')",
        f"  {film}:5, in year",
        '    return json.loads(text)["year"]',
    ]


def test_our_frames_are_left_out_also_where_the_error_was_raised_in_them(tmp_path: Path) -> None:
    film = tmp_path / "films.py"
    film.write_text("page.first('//p[')\n", encoding="utf-8")
    page = Page(request("http://x.test/"), Fetched("http://x.test/", 200, {}, b"", 0, 0), Settings())

    error = raised(film.read_text(), str(film), page=page)

    assert trace_lines(error, str(film)) == [f"  {film}:1, in <module>", "    page.first('//p[')"]


def test_of_many_calls_the_last_ones_are_shown(tmp_path: Path) -> None:
    film = tmp_path / "films.py"
    film.write_text(HELPER + "\n\ndeeper(30)\n", encoding="utf-8")

    lines = trace_lines(raised(film.read_text(), str(film)), str(film))

    assert lines[0] == "  (23 earlier calls left out)"
    assert len(lines) == 1 + 2 * 10
    assert lines[-2].endswith(":5, in year")


def test_an_error_that_never_came_to_the_user_has_no_trace() -> None:
    assert trace_lines(ValueError("never raised"), "films.py") == []
