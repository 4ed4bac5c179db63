"""What becomes of each call of a `PinnedPool`: its result or failure, second attempts, and how its proxy did."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

import calls
import pinpool
from commands import DEADLINE, Desk
from crawling import until
from pinpool import CallFailed, NoUsableProxy, PinnedPool, ProxyListError, SettingsError, UsageError
from pinpool.lab import Lab
from pinpool.pool.engine import Lost, Signal
from pinpool.spider.loader import load, parse_ref
from pools import films, listed


@pytest.fixture
def pool(lab: Lab) -> Iterator[PinnedPool]:
    """Three workers on the lab's four proxies."""
    with PinnedPool(listed(lab), workers=3, deadline=20) as made:
        yield made


def test_every_result_comes_once_and_through_a_proxy(pool: PinnedPool, lab: Lab) -> None:
    """Far more arguments than workers: they are read as far as they are needed."""
    urls = films(lab) * 2

    results = list(pool.map_unordered(calls.fetch, urls))

    assert sorted(url for _, url in results) == sorted(urls)
    assert min(size for size, _ in results) > 30_000
    assert len(lab.requests) == 40
    assert len({seen.proxy for seen in lab.requests}) <= 3


def test_a_call_ends_in_its_callback_or_in_its_error_callback(pool: PinnedPool) -> None:
    results: queue.SimpleQueue[object] = queue.SimpleQueue()

    future = pool.submit(calls.double, 21, callback=results.put, error_callback=results.put)
    assert results.get(timeout=DEADLINE) == 42
    pool.submit(calls.raise_for, "film", callback=results.put, error_callback=results.put)
    error = results.get(timeout=DEADLINE)

    assert future.result(0) == 42
    assert isinstance(error, CallFailed)
    assert results.empty()


def test_a_callback_that_raises_does_not_stop_the_others(pool: PinnedPool) -> None:
    def spoil(result: int) -> None:
        raise ValueError(result)

    for number in range(10):
        pool.submit(calls.double, number, callback=spoil)

    assert sorted(pool.map_unordered(calls.double, range(10))) == list(range(0, 20, 2))


def test_the_error_of_a_function_says_what_and_where(pool: PinnedPool) -> None:
    with pytest.raises(CallFailed) as caught:
        pool.submit(calls.raise_for, "film").result(DEADLINE)

    assert (caught.value.kind, caught.value.message) == ("LookupError", "no film here")
    assert 'raise LookupError(f"no {what} here")' in caught.value.trace
    assert str(caught.value) == "LookupError: no film here"


def test_one_failure_among_many_is_raised_and_the_others_have_come(pool: PinnedPool) -> None:
    results, failures = [], []

    for future in [pool.submit(calls.double_but_zero, number) for number in range(6)]:
        try:
            results.append(future.result(DEADLINE))
        except CallFailed as failure:
            failures.append(failure.message)

    assert (results, failures) == ([2, 4, 6, 8, 10], ["no 0 here"])


def test_results_that_cannot_travel_are_failures_and_the_pool_goes_on(pool: PinnedPool) -> None:
    with pytest.raises(CallFailed, match="TypeError: cannot pickle 'generator' object"):
        pool.submit(calls.generator).result(DEADLINE)
    with pytest.raises(CallFailed, match=r"ValueError: I stay here; the result of .* cannot be unpickled here: return"):
        pool.submit(calls.stubborn).result(DEADLINE)

    assert pool.submit(calls.double, 4).result(DEADLINE) == 8


def test_a_function_that_cannot_travel_is_refused_at_once(pool: PinnedPool) -> None:
    with pytest.raises(UsageError, match="with def at the top level of a file"):
        pool.submit(lambda: 1)

    assert pool.submit(calls.double, 4).result(DEADLINE) == 8


def test_sys_exit_in_a_call_is_a_failure_and_its_worker_lives_on(lab: Lab) -> None:
    with PinnedPool(listed(lab), workers=1) as pool:
        before = pool.submit(os.getpid).result(DEADLINE)
        with pytest.raises(CallFailed) as caught:
            pool.submit(calls.leave).result(DEADLINE)
        after = pool.submit(os.getpid).result(DEADLINE)

    assert (caught.value.kind, caught.value.message) == ("SystemExit", "had enough")
    assert after == before


def test_a_call_that_kills_its_worker_again_and_again_is_given_up(pool: PinnedPool) -> None:
    with pytest.raises(CallFailed, match="quarantined after 3 crashes") as caught:
        pool.submit(calls.crash).result(DEADLINE)

    assert caught.value.kind == "crash"
    assert sorted(pool.map_unordered(calls.double, range(6))) == [0, 2, 4, 6, 8, 10]


def test_a_call_that_does_not_end_is_ended(lab: Lab) -> None:
    with PinnedPool(listed(lab)[:2], workers=2, deadline=1.0, attempts=1) as pool:
        # Else no proxy is believed yet, and five calls have to end late before one is given up.
        assert pool.submit(calls.double, 2).result(DEADLINE) == 4
        with pytest.raises(CallFailed) as caught:
            pool.submit(calls.sleep).result(DEADLINE)

        assert caught.value.kind == "deadline"
        assert pool.submit(calls.double, 4).result(DEADLINE) == 8


@pytest.mark.parametrize("fault", ["refused", "auth", "reset"])
def test_a_call_that_meets_a_faulty_proxy_is_made_again_through_another(lab: Lab, fault: str) -> None:
    lab.set_fault(0, fault)
    lab.set_fault(1, fault)

    with PinnedPool(listed(lab), workers=4, swap_after=1) as pool:
        results = list(pool.map_unordered(calls.fetch, films(lab) * 3))

    assert sorted(url for _, url in results) == sorted(films(lab) * 3)
    assert {seen.proxy for seen in lab.requests if seen.status == 200} <= {2, 3}
    # Its worker has swapped it at the first fault, and no worker has pinned it since.
    assert all(proxy.requests + proxy.logins_refused <= 1 for proxy in lab.proxies[:2])


@pytest.mark.parametrize("of_pool", [True, False])
def test_a_repeatable_call_that_hangs_is_made_by_an_idle_worker_too(lab: Lab, of_pool: bool) -> None:
    lab.set_site_fault("/detail/3", "silent", times=1)
    url = next(url for url in films(lab) if url.endswith("/3"))

    with PinnedPool(listed(lab), timeout=60, deadline=90, repeatable=of_pool) as pool:
        future = pool.submit(calls.fetch, url) if of_pool else pool.submit(calls.fetch, url, repeatable=True)
        assert future.result(DEADLINE)[1] == url
    rows = pool.proxies

    first, second = lab.requests
    assert first.proxy is not None
    assert first.proxy != second.proxy
    assert sum(row["ok"] for row in rows) == 1
    assert [row["overtaken"] for row in rows] == [int(number == first.proxy) for number in range(4)]
    assert sum(row["failed"] + row["charged"] for row in rows) == 0


def test_a_call_of_which_one_of_two_attempts_is_lost_is_left_to_the_other(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "held"
    held.mkdir()
    with PinnedPool(listed(lab), timeout=60, deadline=90, repeatable=True) as pool:
        engine, sent = pool._engine, list[int]()
        poll, submit = engine.poll, engine.submit
        future = pool.submit(calls.hold, held)
        until(lambda: len(list(held.iterdir())) == 2, "a second attempt", seconds=DEADLINE)

        # As when a process that carries several workers ends: the call may not be to blame.
        answers: list[list[Signal]] = [[Lost(2, None, "its process ended")], [], []]
        monkeypatch.setattr(engine, "submit", lambda serial, *rest, **more: sent.append(serial))
        monkeypatch.setattr(engine, "poll", lambda timeout: answers.pop(0) if answers else poll(timeout))
        until(lambda: not answers, "the loss is settled", seconds=DEADLINE)
        monkeypatch.setattr(engine, "submit", submit)
        held.joinpath("go").touch()

        assert future.result(DEADLINE) == "done"
    assert sent == []


def test_a_call_that_hangs_is_made_once_unless_it_is_repeatable(lab: Lab) -> None:
    lab.set_site_fault("/detail/3", "silent", times=1)
    others = [url for url in films(lab) if not url.endswith("/3")]

    with PinnedPool(listed(lab), timeout=8) as pool:
        list(pool.map_unordered(calls.fetch, films(lab)))

    asked = [seen for seen in lab.requests if seen.path == "/detail/3"]
    assert len(lab.requests) == len(others) + 2
    assert asked[0].ended is not None
    assert asked[0].ended <= asked[1].at


def test_a_pool_knows_how_each_of_its_proxies_did(lab: Lab) -> None:
    lab.set_fault(0, "refused")
    with PinnedPool(listed(lab), workers=4) as pool:
        before = pool.proxies
        list(pool.map_unordered(calls.fetch, films(lab) * 2))
        with pytest.raises(CallFailed):
            pool.submit(calls.raise_for, "film").result(DEADLINE)
    faulty, *good = pool.proxies

    assert [row["proxy"] for row in before] == [row["proxy"] for row in pool.proxies]
    assert sum(row["attempts"] for row in before) == 0
    assert (faulty["ok"], faulty["faults"], faulty["charged"]) == (
        0,
        {"refused": faulty["failed"]},
        faulty["failed"],
    )
    assert (faulty["state"], faulty["reason"]) == ("cooling", "refused")
    assert faulty["first_error"].startswith("refused: ")
    assert sum(row["ok"] for row in good) == 41  # the call that raised by itself is not its proxy's fault
    assert sum(row["failed"] for row in good) == 0
    assert all(row["pins"] >= 1 for row in good)
    assert sum(row["bytes"] for row in good) > 40 * 30_000
    assert any(row["latency_p50"] for row in good)


def test_the_figures_of_a_pool_have_the_keys_of_those_of_a_run(lab: Lab, desk: Desk) -> None:
    desk.prepare(lab)
    with PinnedPool(listed(lab), workers=2) as pool:
        run = pinpool.crawl(load(parse_ref(str(desk / "films.py"))), listed(lab), journal=desk / "run.db", workers=2)

    assert [list(row) for row in pool.proxies] == [list(row) for row in run.proxies]


def test_with_no_usable_proxy_every_call_says_so_however_many_there_are(lab: Lab) -> None:
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, "auth")

    with PinnedPool(listed(lab), workers=2) as pool:
        first = pool.submit(calls.fetch, films(lab)[0])
        with pytest.raises(NoUsableProxy, match=r"no usable proxy is left \(it refuses our login: 4\)"):
            first.result(DEADLINE)
        with pytest.raises(NoUsableProxy):
            list(pool.map_unordered(calls.fetch, films(lab) * 10))
        with pytest.raises(NoUsableProxy):
            pool.submit(calls.fetch, films(lab)[0]).result(DEADLINE)


def test_an_error_in_the_block_ends_the_calls_that_wait(lab: Lab) -> None:
    with pytest.raises(KeyError), PinnedPool(listed(lab), workers=2) as pool:
        futures = [pool.submit(calls.sleep) for _ in range(6)]
        raise KeyError

    assert all(isinstance(future.exception(DEADLINE), CallFailed) for future in futures)


def test_leaving_the_block_waits_for_all_calls_and_closes_the_pool(lab: Lab) -> None:
    with PinnedPool(listed(lab)) as pool:
        futures = [pool.submit(calls.fetch, url) for url in films(lab)]

    assert all(future.done() for future in futures)
    assert [future.result(0)[1] for future in futures] == films(lab)
    with pytest.raises(RuntimeError, match="this pool is closed"):
        pool.submit(calls.double, 1)


def test_a_session_exists_inside_of_a_worker_only() -> None:
    with pytest.raises(RuntimeError, match="inside a function that a PinnedPool runs"):
        pinpool.session()


def test_a_pool_checks_what_it_is_given() -> None:
    with pytest.raises(SettingsError, match="deadlin: no such setting; did you mean deadline"):
        PinnedPool(["192.0.2.1:8080"], deadlin=3)
    with pytest.raises(ProxyListError, match="proxies:1: "):
        PinnedPool(["192.0.2.1"])


def test_the_environment_never_changes_the_route(desk: Desk, lab: Lab, method: str) -> None:
    """The variables name a proxy of the lab that is not on the list, and the site as one to be reached without."""
    trap = lab.proxies[0]
    desk.write(
        "pool.py",
        f"from pinpool import PinnedPool, session\n"
        f"def size(url):\n"
        f"    return len(session().get(url).content)\n"
        f"if __name__ == '__main__':\n"
        f"    with PinnedPool({listed(lab)[1:]!r}, start_method={method!r}) as pool:\n"
        f"        print(sum(size > 30_000 for size in pool.map_unordered(size, {films(lab)!r})))\n",
    )
    variables = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"), trap.url)
    exempt = dict.fromkeys(("no_proxy", "NO_PROXY"), "*")

    for environment in (variables, exempt, variables | exempt):
        said = desk.start_python("pool.py", **environment).end()
        assert (said.code, said.out, said.err) == (0, "20\n", "")

    assert trap.connections == 0
    assert {seen.proxy for seen in lab.requests} <= {1, 2, 3}
    assert len(lab.requests) == 60
