from __future__ import annotations

from pinpool.stats.capacity import WORKER_BYTES, Capacity


def test_more_workers_than_fit_are_refused_with_what_is_missing_and_how_many_fit() -> None:
    capacity = Capacity(memory=10 * WORKER_BYTES, files=1_000)

    assert capacity.shortage(10) == ""
    assert capacity.shortage(500) == (
        "500 workers would need 10.0 GB of memory (200.0 MB are free) and 2,100 open files (1,000 are allowed): 10 fit"
    )


def test_one_worker_always_fits() -> None:
    assert Capacity(memory=0, files=0).workers == 1
