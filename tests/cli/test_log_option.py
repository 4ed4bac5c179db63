from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from commands import Desk
from crawling import job, spider, strike, until
from pinpool.lab import Lab

LOUD = """
import logging, os

logging.basicConfig(format="%(message)s of the spider's own making")
"""


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_what_a_spider_logs_in_a_worker_is_in_the_log_with_proxy_task_and_attempt(desk: Desk, method: str) -> None:
    with Lab(pages=1, proxies=2) as lab:
        desk.prepare(lab)
        source = (desk / "films.py").read_text()
        logs = 'logging.getLogger("films").warning("%s by %d", page.url, os.getpid())\n    return {'
        desk.write("films.py", LOUD + source.replace("return {", logs))
        run = desk.run("crawl", "films.py", "-p", "proxies.txt", "--log", "run.log", "--start-method", method)
        labels = {proxy.label for proxy in lab.proxies}

    lines = desk.lines("run.log")
    films = [line for line in lines if line["logger"] == "films"]
    assert run.code == 0
    assert len(films) == 10 == len({line["task"] for line in films}) == len({line["attempt"] for line in films})
    assert all(line["message"] == f"{line['task']} by {line['worker']}" for line in films)
    assert {line["proxy"] for line in films} <= labels
    assert run.err.count(" warning films: ") == 10
    assert "of the spider's own making" not in run.err
    assert [line["message"] for line in (lines[0], lines[-1])] == [
        "run of films starts with 2 proxies and 2 workers",
        "run of films ends: complete",
    ]


def test_a_whole_run_with_everything_in_its_log_holds_no_password(desk: Desk) -> None:
    with Lab(pages=2, proxies=6, faults=["auth", "refused", "ban"]) as lab:
        desk.prepare(lab)
        run = desk.run("crawl", "films.py", "-p", "proxies.txt", "-vv", "--log", "run.log", "--limit", "15")
        secrets = {proxy.password for proxy in lab.proxies if proxy.password}

    text = run.err + (desk / "run.log").read_text()
    loggers = {line["logger"] for line in desk.lines("run.log")}
    assert "urllib3.connectionpool" in loggers
    assert "pinpool" in loggers
    assert secrets
    assert not [secret for secret in secrets if secret in text]
    assert "attempt failed: refused" in text


def test_workers_that_are_killed_while_they_log_block_nothing_and_tear_no_line(tmp_path: Path) -> None:
    chatter = """
        import logging
        for turn in range(40):
            logging.getLogger("films").info("film %d, %s", number, "x " * 400)
    """
    with (
        Lab(pages=12, proxies=6, latency=0.01) as lab,
        job(tmp_path / "job", lab, spider(chatter)) as work,
    ):
        start = work.crawl("-v", "--log", "run.log", "-w", "4")
        log = work.folder / "run.log"
        killed: set[int] = set()

        def grown(size: int) -> bool:
            return not start.runs or (log.exists() and log.stat().st_size > size)

        while len(killed) < 4 and start.runs:
            until(partial(grown, log.stat().st_size if log.exists() else 0), "a log")
            workers = [worker for worker in start.cast().workers if worker.pid not in killed]
            if workers:
                strike(workers[0])
                killed.add(workers[0].pid)
        code = start.wait()
        work.complete()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lost = {line["worker"] for line in lines if "was lost while in" in line["message"]}
    assert code == 0
    assert len(killed) == 4
    assert lost & killed
    assert {line["message"][-2:] for line in lines if line["logger"] == "films"} == {"x "}


def test_what_a_function_logs_in_a_pinned_pool_is_logged_as_well(desk: Desk) -> None:
    desk.write(
        "script.py",
        """
import logging
from pinpool import PinnedPool


def work(number):
    logging.getLogger("mine").info("number %d", number)
    return number


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s %(proxy)s")
    with PinnedPool(["http://bob:secret99@192.0.2.1:80"], workers=1) as pool:
        print(sum(pool.map_unordered(work, range(3))))
""",
    )

    said = desk.start_python("script.py").end()

    assert (said.code, said.out) == (0, "3\n")
    assert said.err.splitlines() == [f"mine number {n} http://bob@192.0.2.1:80" for n in range(3)]


def test_quiet_and_verbose_exclude_each_other(desk: Desk) -> None:
    said = desk.run("crawl", "films.py", "-p", "proxies.txt", "-q", "-v")

    assert (said.code, said.out) == (2, "")
    assert "-q asks for less and -v for more: choose one" in said.err
