"""What the library's front leaves behind when a run cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest

import pinpool
from pinpool.errors import SettingsError
from pinpool.output.streams import open_output

spider = pinpool.Spider(name="films", seeds=["http://films.example/1"])
spider.index(lambda page: None)


def test_a_run_that_is_refused_its_output_at_the_last_moment_leaves_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two crawls begin at the same time: both find the file free, and one gets it."""
    monkeypatch.setattr("pinpool.crawler.api.check_targets", lambda *_: None)
    output, journal = tmp_path / "films.jsonl", tmp_path / "films.db"

    with open_output(str(output)), pytest.raises(SettingsError, match="another pinpool is writing it"):
        pinpool.crawl(spider, ["192.0.2.1:8080"], journal=journal, outputs=[str(output)])

    assert set(tmp_path.iterdir()) == {output}
