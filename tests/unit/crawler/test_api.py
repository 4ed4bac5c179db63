"""How the library's front begins a run, and what it leaves behind when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

import pinpool
from pinpool.crawler.api import resumed_choice
from pinpool.errors import SettingsError
from pinpool.journal.reader import Reader
from pinpool.journal.records import About, settings_text
from pinpool.journal.writer import Journal
from pinpool.output.streams import open_output
from pinpool.pool.registry import EngineChoice

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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None), EngineChoice("ray", address="10.0.0.1:6379")),
        ((None, "10.0.0.2:6379"), EngineChoice("ray", address="10.0.0.2:6379")),
        (("inline", None), EngineChoice("inline")),
    ],
    ids=["as it was", "another cluster", "another engine"],
)
def test_a_start_that_goes_on_has_the_engine_of_the_last_one_and_its_cluster_unless_it_is_given_another(
    tmp_path: Path, given: tuple[str | None, str | None], expected: EngineChoice
) -> None:
    about = About(
        spider="films",
        spider_ref="films.py",
        version="1",
        workers=3,
        engine="ray",
        start_method=None,
        settings=settings_text({}, (), "10.0.0.1:6379"),
        proxies="proxies.txt",
        salt=b"salt",
    )
    Journal.create(tmp_path / "films.db", about, 0.0).close()
    with Reader(tmp_path / "films.db") as reader:
        info = reader.run_info()

    engine, address = given
    assert resumed_choice(info, engine, raises=False, address=address) == expected
