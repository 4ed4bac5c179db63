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


@pytest.mark.parametrize(("engine", "told"), [("processes", 1), ("inline", 0)])
def test_memory_bounds_processes_but_not_workers_that_take_turns_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, told: int
) -> None:
    monkeypatch.setattr("pinpool.stats.capacity.free_memory", lambda: 100_000_000)
    output, proxies, lines = tmp_path / "films.jsonl", [f"192.0.2.1:{port}" for port in range(8001, 8101)], list[str]()

    with open_output(str(output)), pytest.raises(SettingsError, match="another pinpool is writing it"):
        pinpool.crawl(
            spider, proxies, journal=tmp_path / "a.db", outputs=[str(output)], engine=engine, tell=lines.append
        )

    assert sum("100 workers would need" in line for line in lines) == told
