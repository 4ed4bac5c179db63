"""A whole crawl over every engine, through good and faulty proxies, judged at the proxies and by `verify`."""

from __future__ import annotations

from pathlib import Path

from crawling import Job
from engine_kinds import Kind, Started
from pinpool import crawl
from pinpool.lab import Lab

#: Faults that cost no time: an engine that does one page after another waits for each of them.
FAULTS = ("refused", "auth", "ban", "reset", "softban", "flaky")
#: The first four proxies of the list have faults, so that whoever starts first meets them.
SEED = 50


def test_a_crawl_through_faulty_proxies_is_complete_and_no_two_workers_share_one(
    started: Started, engine_kind: Kind, engine_address: str | None, tmp_path: Path
) -> None:
    with Lab(pages=5, proxies=10, faults=FAULTS, latency=0.01, seed=SEED) as lab:
        films = Job(tmp_path / "run", lab)

        run = crawl(
            films.folder / films.file,
            films.folder / "proxies.txt",
            workers=8,
            journal=films.journal,
            outputs=[str(films.output)],
            swap_after=2,
            cooling=1.0,
            **engine_kind.options(engine_address),
        )

        assert run.complete
        assert len(films.written()) == 50
        assert any(proxy["faults"] for proxy in run.proxies)
        films.complete()
