"""A `PinnedPool` as those use it who come from multiprocessing.Pool or concurrent.futures: with and without threads."""

from __future__ import annotations

import itertools
import queue
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, as_completed, wait
from typing import Any

import pytest

import calls
import pinpool
from commands import DEADLINE
from crawling import until
from pinpool import CallFailed, PinnedPool, SettingsError, UsageError
from pinpool.lab import SECRET, Lab
from pinpool.pool.engine import Signal
from pools import AT_ONCE, films, listed

pytestmark = pytest.mark.processes


@pytest.fixture
def pool(lab: Lab, threads: int) -> Iterator[PinnedPool]:
    """Four workers."""
    with PinnedPool(listed(lab), threads=threads, deadline=20) as made:
        yield made


# ---------------------------------------------------------------------------------------------- the maps


def test_each_map_makes_every_call_once(pool: PinnedPool, lab: Lab) -> None:
    urls = films(lab)

    assert [url for _, url in pool.map(calls.fetch, urls)] == urls
    assert sorted(url for _, url in pool.map_unordered(calls.fetch, urls)) == urls
    assert list(pool.starmap(calls.echo, [(1, 2), (3,), ()])) == [((1, 2), {}), ((3,), {}), ((), {})]
    assert len(lab.requests) == 2 * len(urls)


def test_a_map_over_an_endless_generator_reads_it_as_it_is_taken(pool: PinnedPool) -> None:
    read = itertools.count()

    found = list(itertools.islice(pool.map(calls.double, read), 50))

    assert found == list(range(0, 100, 2))
    assert next(read) <= 50 + 20 * 4


def test_the_error_of_one_call_names_its_arguments_and_the_others_go_on(pool: PinnedPool) -> None:
    results = pool.map(calls.double_but_zero, [1, 0, 2])

    assert next(results) == 2
    with pytest.raises(CallFailed, match="no 0 here") as caught:
        next(results)
    assert caught.value.arguments == (0,)
    assert caught.value.__notes__ == ["in the call double_but_zero(0)"]
    assert list(results) == [4]


def test_a_generator_that_raises_ends_the_map_after_the_results_of_what_it_gave(pool: PinnedPool) -> None:
    def numbers() -> Iterator[int]:
        yield from (1, 2, 3)
        raise OSError("the file is gone")

    found: list[int] = []
    with pytest.raises(OSError, match="the file is gone"):
        found.extend(pool.map(calls.double, numbers()))

    assert found == [2, 4, 6]
    assert pool.submit(calls.double, 4).result(DEADLINE) == 8


def test_what_cannot_be_sent_is_one_clear_error_and_the_pool_goes_on(pool: PinnedPool) -> None:
    with pytest.raises(UsageError, match="with def at the top level"):
        pool.map(lambda number: number, [1])
    with pytest.raises(UsageError, match=r"an argument of echo .* cannot pickle '_thread.lock' object.*plain data"):
        list(pool.map(calls.echo, [threading.Lock()]))
    with pytest.raises(UsageError, match="starmap takes a tuple of arguments for each call, not int"):
        list(pool.starmap(calls.double, [1]))  # type: ignore[list-item]
    with pytest.raises(CallFailed, match=r"cannot pickle 'generator' object; the result of generator .* return plain"):
        pool.submit(calls.generator).result(DEADLINE)

    assert list(pool.map(calls.double, [4])) == [8]


def test_habits_from_other_pools_are_answered(pool: PinnedPool) -> None:
    habits: Any = pool
    with pytest.raises(TypeError, match="map has no chunksize"):
        habits.map(calls.double, [1], chunksize=10)
    with pytest.raises(TypeError, match="starmap has no chunksize"):
        habits.starmap(calls.echo, [(1,)], 10)
    with pytest.raises(AttributeError, match="a PinnedPool has no imap_unordered: use map_unordered"):
        habits.imap_unordered(calls.double, [1])
    with pytest.raises(SettingsError, match="processes: no such setting; the number of workers is workers="):
        PinnedPool(["192.0.2.1:8080"], processes=4)
    assert not hasattr(pool, "__deepcopy__")


# ---------------------------------------------------------------------------------------------- futures


def test_futures_of_a_pool_and_of_an_executor_are_waited_for_together(pool: PinnedPool) -> None:
    with ThreadPoolExecutor(2) as executor:
        futures: list[Future[Any]] = [pool.submit(calls.double, 1), executor.submit(calls.double, 2)]
        slow: Future[Any] = pool.submit(calls.nap, 30)

        assert sorted(done.result(0) for done in as_completed(futures, DEADLINE)) == [2, 4]
        assert slow in wait([*futures, slow], DEADLINE, return_when=FIRST_COMPLETED).not_done
        with pytest.raises(TimeoutError):
            slow.result(0.01)
    pool.terminate()


def test_a_call_that_waits_can_be_cancelled_and_is_never_made(lab: Lab, threads: int) -> None:
    ended: list[Any] = []
    with PinnedPool(listed(lab)[:2], workers=2, threads=threads) as pool:
        running = [pool.submit(calls.nap, 1.0) for _ in range(2)]
        until(lambda: all(future.running() for future in running), "both have begun", seconds=DEADLINE)
        queued = [pool.submit(calls.fetch, films(lab)[0], callback=ended.append) for _ in range(20)]

        cancelled = [future for future in queued[::2] if future.cancel()]

        assert not any(future.cancel() for future in running)
        assert len(cancelled) >= 5
        assert set(cancelled) <= wait(cancelled, 0).done
        with pytest.raises(CancelledError):
            cancelled[0].result(0)
    assert len(lab.requests) == len(ended) == len(queued) - len(cancelled)


def test_names_go_to_the_function_and_two_of_them_are_the_pools(pool: PinnedPool) -> None:
    results: queue.SimpleQueue[object] = queue.SimpleQueue()

    future = pool.submit(calls.echo, 1, tries=3, timeout=5, callback=results.put, error_callback=results.put)

    assert future.result(DEADLINE) == results.get(timeout=DEADLINE) == ((1,), {"tries": 3, "timeout": 5})


def test_a_worker_knows_the_name_of_its_proxy(pool: PinnedPool) -> None:
    names: set[str] = set()

    def all_seen() -> bool:
        names.update(pool.map(calls.login, [0.05] * 8))
        return len(names) == 4

    until(all_seen, "a call of each worker", seconds=DEADLINE)

    assert names == {row["proxy"] for row in pool.proxies}
    assert not any(SECRET in name for name in names)
    with pytest.raises(RuntimeError, match="inside a function that a PinnedPool runs"):
        pinpool.proxy()


# ---------------------------------------------------------------------------------------------- failures


def test_a_call_that_a_proxy_turns_away_is_made_again_through_another(threads: int) -> None:
    with Lab(pages=1, proxies=4, ban_after=0) as lab:
        lab.set_fault(0, "ban")
        rounds: list[list[str]] = []

        def met() -> bool:
            rounds.append([url for _, url in made.map(calls.fetch, films(lab))])
            return lab.proxies[0].requests > 0

        with PinnedPool(listed(lab), threads=threads) as made:
            until(met, "a call through the banned proxy", seconds=DEADLINE)
        banned, *good = made.proxies

    assert all(urls == films(lab) for urls in rounds)
    assert (banned["ok"], banned["faults"]) == (0, {"banned": banned["failed"]})
    assert sum(row["ok"] for row in good) == 10 * len(rounds)


def test_a_page_that_is_gone_is_the_callers_affair_and_costs_no_proxy(pool: PinnedPool, lab: Lab) -> None:
    with pytest.raises(CallFailed) as caught:
        pool.submit(calls.fetch, f"{lab.named_url}/detail/99").result(DEADLINE)

    assert caught.value.kind == "HTTPError"
    assert "answer.raise_for_status()" in caught.value.trace
    assert sum(row["failed"] for row in pool.proxies) == 0


def test_a_call_that_is_given_up_shows_where_the_function_was(lab: Lab, threads: int) -> None:
    lab.set_site_fault("/detail/3", 418)
    bad = f"{lab.named_url}/detail/3"
    with PinnedPool(listed(lab), threads=threads) as pool:
        list(pool.map(calls.fetch, [url for url in films(lab) * 3 if url != bad]))  # all proxies work
        with pytest.raises(CallFailed) as caught:
            pool.submit(calls.fetch, bad).result(DEADLINE)

    assert caught.value.kind == "http_error"
    assert "answered with status 418" in str(caught.value)
    assert "answer.raise_for_status()" in caught.value.trace


def test_no_password_is_in_an_error_whatever_the_function_says(pool: PinnedPool) -> None:
    with pytest.raises(CallFailed, match=r"the login is .*\*\*\*@127") as caught:
        pool.submit(calls.raise_login).result(DEADLINE)

    assert SECRET not in str(caught.value) + caught.value.trace


def test_a_pool_whose_proxies_all_rest_says_so_and_until_when(
    lab: Lab, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, "refused")
    with PinnedPool(listed(lab), threads=threads, cooling=2) as pool:
        future = pool.submit(calls.fetch, films(lab)[0])
        until(lambda: caplog.records, "it says why it waits", seconds=DEADLINE)
        for proxy in lab.proxies:
            lab.set_fault(proxy.index, None)

        assert future.result(DEADLINE)[1] == films(lab)[0]

    said = caplog.records[0].getMessage()
    words = r"the calls wait, because every proxy rests \(refused: \d\): the next one is tried in \d"
    assert re.match(words, said)


# ---------------------------------------------------------------------------------------------- callbacks


def test_a_callback_may_submit_further_calls_also_while_the_pool_closes(
    lab: Lab, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list page leads to the films, as the index and detail tasks of a crawl do."""
    found: list[str] = []
    looks: list[bool] = []  # for each look of the pool at what is under way: whether it is to end

    def follow(paths: list[str]) -> None:
        before = looks.count(True)
        until(lambda: looks.count(True) > before + 2, "the pool finds nothing but this under way", seconds=DEADLINE)
        for path in paths:
            made.submit(calls.fetch, lab.named_url + path, callback=lambda result: found.append(result[1]))

    with PinnedPool(listed(lab), threads=threads) as made:
        poll = made._engine.poll

        def watched(seconds: float) -> list[Signal]:
            looks.append(made._loop._finishing)
            return poll(seconds)

        monkeypatch.setattr(made._engine, "poll", watched)
        made.submit(calls.links, f"{lab.named_url}/page/1", callback=follow)

    assert len(found) == 10
    assert set(found) < set(films(lab))


def test_a_callback_may_wait_for_other_calls(pool: PinnedPool) -> None:
    found: queue.SimpleQueue[object] = queue.SimpleQueue()

    def further(result: int) -> None:
        found.put(pool.submit(calls.double, result).result(DEADLINE))
        found.put(list(pool.map(calls.double, [result, result + 1])))
        found.put(len(wait([pool.submit(calls.double, 1)], DEADLINE).done))

    pool.submit(calls.double, 1, callback=further)

    assert [found.get(timeout=DEADLINE) for _ in range(3)] == [4, [4, 6], 1]


def test_a_callback_that_blocks_keeps_no_result_from_coming(pool: PinnedPool) -> None:
    go = threading.Event()
    pool.submit(calls.double, 1, callback=lambda result: go.wait(DEADLINE))

    assert list(pool.map(calls.double, range(20))) == list(range(0, 40, 2))
    go.set()


def test_a_callback_that_raises_is_reported_and_the_calls_go_on(
    pool: PinnedPool, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(result: int) -> None:
        raise ValueError(result)

    for number in range(3):
        pool.submit(calls.double, number, callback=spoil)
    assert list(pool.map(calls.double, range(3))) == [0, 2, 4]
    pool.close()

    assert [record.getMessage() for record in caplog.records] == ["a callback has raised; the calls go on"] * 3


def test_a_callback_cannot_close_its_pool(pool: PinnedPool) -> None:
    refusals: queue.SimpleQueue[str] = queue.SimpleQueue()

    def close(result: int) -> None:
        try:
            pool.close()
        except RuntimeError as error:
            refusals.put(str(error))

    pool.submit(calls.double, 1, callback=close)

    assert refusals.get(timeout=DEADLINE).startswith("a callback cannot close its pool")
    assert pool.submit(calls.double, 2).result(DEADLINE) == 4


# ---------------------------------------------------------------------------------------------- the end


def test_leaving_by_an_error_ends_the_calls_at_once_and_each_of_them_says_so(lab: Lab, threads: int) -> None:
    errors: list[BaseException] = []
    with pytest.raises(KeyError), PinnedPool(listed(lab), workers=2, threads=threads) as pool:
        futures = [pool.submit(calls.nap, 3600, error_callback=errors.append) for _ in range(6)]
        begin = time.monotonic()
        raise KeyError

    assert time.monotonic() - begin < AT_ONCE
    failures = [future.exception(0) for future in futures]
    assert [failure.kind for failure in failures if isinstance(failure, CallFailed)] == ["closed"] * 6
    assert len(errors) == 6
    assert len({id(failure) for failure in failures}) == 6


def test_terminate_ends_a_pool_once_and_for_all(pool: PinnedPool) -> None:
    future = pool.submit(calls.sleep)

    pool.terminate()
    pool.terminate()
    pool.close()

    with pytest.raises(CallFailed, match="closed: the pool was closed before the call came to an end"):
        future.result(0)
    with pytest.raises(RuntimeError, match="this pool is closed"):
        pool.submit(calls.double, 1)


def test_results_that_are_taken_after_the_end_are_those_that_were_there(lab: Lab, threads: int) -> None:
    with PinnedPool(listed(lab), workers=2, threads=threads) as pool:
        results = pool.map(calls.double, range(100))
    found: list[int] = []

    with pytest.raises(RuntimeError, match="take the results of a map, inside its `with`"):
        found.extend(results)

    assert found == [0, 2, 4, 6]


def test_a_map_that_is_left_early_makes_no_further_calls(lab: Lab, threads: int) -> None:
    begin = time.monotonic()
    with PinnedPool(listed(lab), workers=2, threads=threads) as pool:
        for _ in pool.map(calls.nap, itertools.repeat(0.2)):
            break

    assert time.monotonic() - begin < AT_ONCE
    assert sum(row["ok"] for row in pool.proxies) <= 1 + 4
