"""The library as a script uses it: `crawl`, `resume` and `Run`, and a `PinnedPool` for any function."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import calls
import pinpool
from commands import DEADLINE, SPIDER, Desk
from crawling import until
from journals import new_journal, task
from pinpool import (
    CallFailed,
    JournalError,
    NoUsableProxy,
    PinnedPool,
    ProxyListError,
    SettingsError,
    Spider,
    SpiderError,
    UsageError,
)
from pinpool.journal.records import Mark
from pinpool.lab import Lab
from pinpool.output.target import Target
from pinpool.pool.engine import Lost, Signal
from pinpool.spider.loader import load, parse_ref

METHODS = ["forkserver", "spawn"]

CRAWL = """
import json
import pinpool


def main():
    run = pinpool.crawl(spider, proxies={proxies!r}, journal="run.db", {options})
    print(json.dumps({{
        "complete": run.complete,
        "urls": sorted(item["url"] for item in run.items()),
        "proxies": [row["proxy"] for row in run.proxies],
        "failures": [failure["url"] for failure in run.failures()],
        "pages": run.stats["run"]["pages"],
    }}))

"""
GUARDED, UNGUARDED = 'if __name__ == "__main__":\n    main()\n', "main()\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Ten films behind four good proxies. No request may go past these, and no two workers share one."""
    with Lab(pages=1, proxies=4) as made:
        yield made
        assert made.direct == 0
        assert all(proxy.max_users <= 1 for proxy in made.proxies)


def listed(lab: Lab) -> list[str]:
    return [proxy.url for proxy in lab.proxies]


def script(lab: Lab, options: str = "", end: str = GUARDED) -> str:
    """A program with a spider of its own that crawls the lab and prints what came of it."""
    spider = SPIDER.format(seeds=f'"{lab.named_url}/page/1"')
    return spider + CRAWL.format(proxies=listed(lab), options=options) + end


def films(lab: Lab) -> list[str]:
    return sorted(lab.films(lab.named_url))


# ---------------------------------------------------------------------------------------------- crawl, resume, Run


@pytest.mark.parametrize("method", METHODS)
def test_a_script_crawls_with_its_own_spider_and_reads_the_run(desk: Desk, lab: Lab, method: str) -> None:
    lab.set_site_fault("/detail/3", 418)
    desk.write("films.py", script(lab, f"workers=3, start_method={method!r}"))

    said = desk.start_python("films.py").end()

    failed = f"{lab.named_url}/detail/3"
    assert (said.code, said.err) == (0, "")
    assert said.json() == {
        "complete": False,
        "urls": [url for url in films(lab) if url != failed],
        "proxies": [proxy.label for proxy in lab.proxies],
        "failures": [failed],
        "pages": 10,
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_script_without_the_guard_gets_one_clear_error_and_no_storm(desk: Desk, lab: Lab, method: str) -> None:
    """Each worker imports the script. The first one that starts leaves, and the script gets an error that says why."""
    desk.write("films.py", script(lab, f"start_method={method!r}", end=UNGUARDED))

    said = desk.start_python("films.py").end()

    assert (said.code, said.out) == (1, "")
    assert said.err.count("Traceback") == 1
    assert "must do so under `if __name__ == '__main__':`" in said.err.splitlines()[-1]
    assert lab.requests == []


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_without_the_guard_gets_the_same_error(desk: Desk, lab: Lab, method: str) -> None:
    desk.write(
        "pool.py",
        f"from pinpool import PinnedPool\n"
        f"with PinnedPool({listed(lab)!r}, start_method={method!r}) as pool:\n"
        f"    print(list(pool.map_unordered(abs, range(3))))\n",
    )

    said = desk.start_python("pool.py").end()

    assert (said.code, said.out) == (1, "")
    assert said.err.count("Traceback") == 1
    assert "must do so under `if __name__ == '__main__':`" in said.err.splitlines()[-1]


def test_a_run_of_a_script_is_resumed_by_the_library_and_by_the_command(desk: Desk, lab: Lab) -> None:
    desk.write("films.py", script(lab, "limit=3, outputs=['films.jsonl']"))
    desk.write(
        "further.py",
        f"import pinpool\n"
        f"if __name__ == '__main__':\n"
        f"    run = pinpool.resume('run.db', {listed(lab)!r}, limit=3)\n"
        f"    print(run.complete, run.ended.limited, run.stats['run']['pages'])\n",
    )
    lab.write_proxies(desk / "proxies.txt")

    first = desk.start_python("films.py").end()
    second = desk.start_python("further.py").end()
    third = desk.run("resume", "run.db", "-p", "proxies.txt")

    assert (first.json()["complete"], first.json()["pages"]) == (False, 3)
    assert (second.out, second.err) == ("False True 6\n", "")
    assert third.code == 0
    assert sorted(item["url"] for item in desk.lines("films.jsonl")) == films(lab)
    assert len(lab.requests) == 11


def test_a_script_can_catch_that_no_proxy_is_usable(desk: Desk, lab: Lab) -> None:
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, "auth")
    text = script(lab, end='if __name__ == "__main__":\n    try:\n        main()\n')
    desk.write("films.py", f"{text}    except pinpool.NoUsableProxy as error:\n        print(error)\n")

    said = desk.start_python("films.py").end()

    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("no page was ever fetched: all 4 proxies refuse the login\n")
    assert desk.run("stats", "run.db", "--json").json()["run"]["state"] == "starved"


def test_what_is_wrong_is_raised_before_anything_is_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.setitem(globals(), "spider", spider := Spider(seeds=["http://movies.test/"], name="films"))
    hidden = Spider(seeds=["http://movies.test/"])
    proxies = ["192.0.2.1:8080"]

    with pytest.raises(SpiderError, match="the spider has no stage"):
        pinpool.crawl(spider, proxies)
    spider.index(lambda page: None)
    hidden.index(lambda page: None)
    with pytest.raises(SpiderError, match="cannot find this spider"):
        pinpool.crawl(hidden, proxies)
    with pytest.raises(SettingsError, match="pacee: no such setting"):
        pinpool.crawl(spider, proxies, pacee=1)
    with pytest.raises(SettingsError, match="its format is not known"):
        pinpool.crawl(spider, proxies, outputs=["films.jsonl", "films.xml"])
    with pytest.raises(SpiderError, match="must start with http"):
        pinpool.crawl(spider, proxies, seeds=["movies.test"], outputs=["films.jsonl"])
    with pytest.raises(ProxyListError, match="proxies:2: the port"):
        pinpool.crawl(spider, [*proxies, "192.0.2.2:0"])
    with pytest.raises(ProxyListError, match="the list is empty"):
        pinpool.crawl(spider, [])
    with pytest.raises(JournalError, match="no such journal"):
        pinpool.resume("films.db", proxies)

    assert list(desk.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "what"),
    [("run.db", "the journal"), ("proxies.txt", "the list of proxies"), ("films.py", "the spider")],
)
def test_an_output_that_would_destroy_what_the_run_lives_on_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.write("films.py", SPIDER.format(seeds='"http://movies.test/page/1"'))
    desk.write("proxies.txt", "192.0.2.1:8080\n")
    monkeypatch.setenv("PINPOOL_PROXIES", "proxies.txt")
    there = name != "run.db" and (desk / name).read_text()
    refused = f"output {name}: is {what}: name another file"

    for proxies in ("proxies.txt", None):
        for overwrite in (False, True):
            output = Target(name, "csv", overwrite)
            with pytest.raises(SettingsError, match=refused):
                pinpool.crawl(load(parse_ref("films.py")), proxies, journal="run.db", outputs=[output])

    assert not (desk / "run.db").exists()
    assert not there or (desk / name).read_text() == there


def test_a_resume_checks_all_outputs_before_the_run_is_marked_running(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.write("movies.py", SPIDER.format(seeds='"http://movies.test/page/1"'))
    with new_journal(desk / "run.db", task("1", "index")) as journal:
        journal.output(Mark(str(desk / "gone" / "items.jsonl"), "jsonl", 0, 0, 0))
        journal.finish("interrupted", time.time())

    with pytest.raises(SettingsError, match=r"gone/items\.jsonl: cannot be written .* name another file with -o"):
        pinpool.resume("run.db", ["192.0.2.1:8080"])
    with pytest.raises(SettingsError, match=r"output run\.db: is the journal: name another file"):
        pinpool.resume("run.db", ["192.0.2.1:8080"], outputs=["run.db:csv"])

    assert pinpool.Run(desk / "run.db").stats["run"]["state"] == "interrupted"


def test_all_public_names_are_there() -> None:
    assert [name for name in pinpool.__all__ if not hasattr(pinpool, name)] == []
    assert dir(pinpool) == sorted(pinpool.__all__)
    with pytest.raises(AttributeError, match="'pinpool' has no attribute 'crawll'"):
        _ = pinpool.crawll


# ---------------------------------------------------------------------------------------------- PinnedPool


@pytest.fixture
def pool(lab: Lab) -> Iterator[PinnedPool]:
    """Three workers on the lab's four proxies."""
    with PinnedPool(listed(lab), workers=3, deadline=20) as made:
        yield made


def test_every_result_comes_once_and_through_a_proxy(pool: PinnedPool, lab: Lab) -> None:
    """Far more arguments than workers: they are read as far as they are needed."""
    urls = films(lab) * 4

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
    with PinnedPool(listed(lab), timeout=60, deadline=90, repeatable=True) as pool:
        engine, sent = pool._engine, list[int]()
        poll, submit = engine.poll, engine.submit
        future = pool.submit(calls.hold, tmp_path)
        until(lambda: len(list(tmp_path.iterdir())) == 2, "a second attempt", seconds=DEADLINE)

        # As when a process that carries several workers ends: the call may not be to blame.
        answers: list[list[Signal]] = [[Lost(2, None, "its process ended")], [], []]
        monkeypatch.setattr(engine, "submit", lambda serial, *rest, **more: sent.append(serial))
        monkeypatch.setattr(engine, "poll", lambda timeout: answers.pop(0) if answers else poll(timeout))
        until(lambda: not answers, "the loss is settled", seconds=DEADLINE)
        monkeypatch.setattr(engine, "submit", submit)
        tmp_path.joinpath("go").touch()

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
        list(pool.map_unordered(calls.fetch, films(lab) * 3))
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
    assert sum(row["ok"] for row in good) == 31  # the call that raised by itself is not its proxy's fault
    assert sum(row["failed"] for row in good) == 0
    assert all(row["pins"] >= 1 for row in good)
    assert sum(row["bytes"] for row in good) > 30 * 30_000
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


@pytest.mark.parametrize("method", METHODS)
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
        f"        print(sum(size > 30_000 for size in pool.map_unordered(size, {films(lab) * 2!r})))\n",
    )
    variables = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"), trap.url)
    exempt = dict.fromkeys(("no_proxy", "NO_PROXY"), "*")

    for environment in (variables, exempt, variables | exempt):
        said = desk.start_python("pool.py", **environment).end()
        assert (said.code, said.out, said.err) == (0, "20\n", "")

    assert trap.connections == 0
    assert {seen.proxy for seen in lab.requests} <= {1, 2, 3}
    assert len(lab.requests) == 60
