from __future__ import annotations

from pinpool.stats.capacity import THREAD_BYTES, WORKER_BYTES, Capacity


def test_more_workers_than_fit_are_refused_with_what_is_missing_and_how_many_fit() -> None:
    capacity = Capacity(memory=10 * WORKER_BYTES, files=1_000)

    assert capacity.shortage(10) == ""
    assert capacity.shortage(500) == (
        "500 workers would need 10.0 GB of memory (200.0 MB are free) and 2,100 open files (1,000 are allowed): 10 fit"
    )


def test_one_worker_always_fits() -> None:
    assert Capacity(memory=0, files=0).workers == 1


def test_workers_that_share_a_process_need_less_and_are_proposed_where_they_would_fit() -> None:
    capacity = Capacity(memory=1_000_000_000, files=1_000)

    assert capacity.workers == 50
    assert capacity.shortage(1_000).endswith(": 50 fit, and all of them with --threads 50")
    assert Capacity(memory=1_000_000_000, files=1_000, threads=50).shortage(1_000) == ""


def test_the_last_process_may_carry_fewer_workers() -> None:
    full = WORKER_BYTES + 9 * THREAD_BYTES

    assert Capacity(memory=full + WORKER_BYTES + THREAD_BYTES, files=1_000, threads=10).workers == 12
