"""`pinpool demo` as a user starts it."""

from __future__ import annotations

from commands import Desk


def test_the_calm_demo_scrapes_every_film_right(desk: Desk) -> None:
    said = desk.run(
        *("demo", "--calm", "--pages", 2, "--proxies", 3, "--workers", 2, "--keep", "kept"),
        HTTP_PROXY="http://127.0.0.1:9",
        TMPDIR=str(desk.folder),
    )

    assert (said.code, said.err) == (0, "")
    assert "20 films right, 0 wrong, 0 missing, 0 twice; 0 requests past the proxies" in said.out
    assert "coverage: proven complete: 2 seeds, 22 tasks" in said.out
    assert len(desk.lines("kept/films.jsonl")) == 20
    assert "report: kept/report.html" in said.out
    assert "<title>movies: complete: pinpool report</title>" in (desk / "kept/report.html").read_text(encoding="utf-8")
