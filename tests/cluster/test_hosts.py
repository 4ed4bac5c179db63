"""
Crawls over two hosts of a Ray cluster in which somebody dies, stops or comes later.

Each time: nothing is lost, every item is there once, `pinpool verify` proves it, and by the books of the lab's proxies
no two holders of a proxy overlap.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crawling import Start, strike, until
from holders import Holding, holdings, pid_of
from namespaces import Machine, can_make_machines, machine
from pinpool.lab import Lab
from pinpool.lab.request_log import Seen
from ray_hosts import SLOTS, Cluster, Host, RayJob, cluster

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

Jobs = Callable[..., RayJob]


@pytest.fixture
def films_of(tmp_path: Path, ray_cluster: Cluster) -> Iterator[Jobs]:
    """Makes jobs of `pages` lists with ten films each, through `proxies` good proxies that take `latency` seconds."""
    with ExitStack() as stack:

        def make(pages: int, *, proxies: int = 4, latency: float = 0.1) -> RayJob:
            lab = stack.enter_context(Lab(pages=pages, proxies=proxies, latency=latency))
            made = RayJob(tmp_path / "run", lab, ray_cluster)
            stack.callback(sweep, made)
            return made

        yield make


def lab_for(far: Machine, pages: int, proxies: int) -> Lab:
    """A lab whose proxies that machine reaches without the cable of the cluster."""
    lab = Lab(pages=pages, proxies=proxies, latency=0.1)
    for proxy in lab.proxies:
        proxy.host = far.world
    return lab


def sweep(films: RayJob) -> None:
    for start in films.starts:
        start.sweep()


def on(host: Host, films: RayJob) -> list[Holding]:
    """Who of this host has held a proxy."""
    return [holding for holding in holdings(films.lab.requests) if holding.host == host.session]


def requests_by(host: Host, films: RayJob) -> int:
    return sum(holding.requests for holding in on(host, films))


def lost_workers(films: RayJob) -> int:
    said = films.ask("stats", "films.db", "--json")
    return int(json.loads(said.stdout)["run"]["worker_losses"])


def waiting(path: str, films: RayJob) -> Seen | None:
    """The request for this page that still has no answer."""
    return next((seen for seen in films.lab.requests if seen.path == path and seen.ended is None), None)


def waits_for(path: str, films: RayJob) -> int:
    """The process that waits for this page, as soon as there is one."""
    until(lambda: waiting(path, films), f"a worker waits for {path}")
    seen = waiting(path, films)
    assert seen is not None
    return pid_of(seen)


def hang_up_on(path: str, films: RayJob) -> None:
    """Let the proxy drop the connection over which somebody waits for this page."""
    seen = waiting(path, films)
    assert seen is not None and seen.proxy is not None
    films.lab.set_fault(seen.proxy, "refused")
    films.lab.set_fault(seen.proxy, None)


def others_have(proxies: set[int], host: Host, films: RayJob) -> bool:
    """Whether other hosts fetch through all of these proxies."""
    return proxies <= {holding.proxy for holding in holdings(films.lab.requests) if holding.host != host.session}


def four_fetch(films: RayJob) -> None:
    """Return as soon as four workers have asked for two pages each."""
    until(lambda: sum(one.requests >= 2 for one in holdings(films.lab.requests)) == 4, "four workers fetch")


def ends_well(start: Start, films: RayJob) -> None:
    assert start.wait() == 0, start.said
    films.complete()


def test_a_host_that_stood_still_does_not_fetch_once_more(ray_cluster: Cluster, films_of: Jobs) -> None:
    """As a suspended machine does: its proxies have other holders when it goes on."""
    hosts = ray_cluster.have(3)
    films = films_of(9)
    start = films.crawl("-w", "4", "--pace", "1")
    four_fetch(films)
    still = next(host for host in hosts if on(host, films))
    its_proxies = {holding.proxy for holding in on(still, films)}

    still.stop()
    films.lab.set_latency(3.0)  # so that the others are not done too soon
    until(lambda: others_have(its_proxies, still, films), "its proxies serve others")
    before = requests_by(still, films)
    for worker in still.workers():  # before Ray can tell them to end
        strike(worker, signal.SIGCONT)

    until(lambda: not still.workers(), "its workers are gone", 30)
    still.go_on()
    films.lab.set_latency(0.02)
    ends_well(start, films)
    assert requests_by(still, films) == before
    still.kill()  # the head may have given it up


@pytest.mark.parametrize("threads", [1, 2], ids=["alone", "threads"])
def test_workers_that_are_killed_while_one_fetches_cost_one_attempt_each(
    ray_cluster: Cluster, films_of: Jobs, threads: int
) -> None:
    ray_cluster.have(2)
    films = films_of(6)
    films.threads = threads
    films.lab.set_site_fault("/detail/7", "silent", times=1)
    start = films.crawl("-w", "4")
    pid = waits_for("/detail/7", films)

    os.kill(pid, signal.SIGKILL)

    ends_well(start, films)
    assert lost_workers(films) == threads


def test_a_worker_that_is_killed_while_it_has_nothing_to_do_is_missed(ray_cluster: Cluster, films_of: Jobs) -> None:
    ray_cluster.have(2)
    films = films_of(4, latency=0.3)
    films.lab.set_site_fault("/page/4", "silent", times=1)
    start = films.crawl("-w", "4")
    busy = waits_for("/page/4", films)
    until(lambda: len(films.written()) == 30, "the others have nothing left to do")
    idle = next(holding for holding in holdings(films.lab.requests) if holding.pid != busy)

    os.kill(idle.pid, signal.SIGKILL)

    until(lambda: lost_workers(films) == 1, "the loss is noted")
    hang_up_on("/page/4", films)
    ends_well(start, films)


def test_what_a_host_had_in_work_when_it_died_is_done_by_the_others(ray_cluster: Cluster, films_of: Jobs) -> None:
    one, other = ray_cluster.have(2)
    films = films_of(8, latency=1.0)
    start = films.crawl("-w", "4")
    four_fetch(films)

    one.kill()

    until(lambda: lost_workers(films) == 2, "the loss of both workers is noted")
    before = requests_by(other, films)
    films.lab.set_latency(0.02)
    ends_well(start, films)
    assert requests_by(other, films) > before


def test_a_host_that_joins_is_used(ray_cluster: Cluster, films_of: Jobs) -> None:
    [one] = ray_cluster.have(1)
    films = films_of(4, latency=3.0)
    start = films.crawl("-w", "4")
    until(lambda: requests_by(one, films) >= 2, "the host fetches")

    [other] = ray_cluster.add(SLOTS)

    until(lambda: requests_by(other, films) >= 1, "the other one fetches as well")
    films.lab.set_latency(0.02)
    ends_well(start, films)
    assert lost_workers(films) == 0


def test_a_killed_parent_takes_its_workers_along_and_the_run_goes_on(ray_cluster: Cluster, films_of: Jobs) -> None:
    hosts = ray_cluster.have(2)
    films = films_of(12, proxies=8)
    start = films.crawl("-w", "4")
    until(lambda: len(films.written()) >= 20, "twenty films")

    start.send(signal.SIGKILL)

    start.leaves_nobody()
    until(lambda: not any(host.workers() for host in hosts), "its workers are gone")
    ends_well(films.resume(), films)


@pytest.mark.skipif(not can_make_machines(), reason="needs root and the command ip")
def test_a_host_that_is_cut_off_lets_go_of_its_proxies_before_others_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """It still reaches the proxies, and so could go on."""
    if not slow:
        pytest.skip("takes a minute: --slow")
    with machine() as far, cluster(far) as made, lab_for(far, pages=4, proxies=2) as lab:
        use(made, monkeypatch)
        cut_off = made.add_machine(SLOTS)
        films = RayJob(tmp_path / "run", lab, made)
        for path in ("/page/3", "/page/4"):
            lab.set_site_fault(path, "silent", times=1)
        start = films.crawl("-w", "4", "--timeout", "120", "--deadline", "150")
        until(lambda: waiting("/page/3", films) and waiting("/page/4", films), "two workers that wait")
        [ready] = made.add(SLOTS)
        until(lambda: len(ready.workers()) == SLOTS, "two workers without a proxy")

        far.cut()
        until(lambda: others_have({0, 1}, cut_off, films), "both proxies serve others")
        far.heal()

        ends_well(start, films)
        assert lost_workers(films) == 2


def test_a_dead_head_ends_the_run_with_the_reason_and_another_cluster_goes_on(
    ray_cluster: Cluster, films_of: Jobs, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    if not slow:
        pytest.skip("takes a minute: --slow")
    films = films_of(20, proxies=2, latency=0.3)
    with cluster() as first, monkeypatch.context() as patch:
        use(first, patch)
        [host] = first.add(SLOTS)
        films.cluster = first
        start = films.crawl("-w", "2")
        until(lambda: requests_by(host, films) >= 10, "ten pages")

        first.head.kill()

        assert start.wait() == 1
        assert "the head of the Ray cluster has not answered" in start.said
    films.lab.set_latency(0.02)
    films.cluster = ray_cluster
    ray_cluster.have(1)
    ends_well(films.resume("--address", ray_cluster.address), films)


def use(made: Cluster, patch: pytest.MonkeyPatch) -> None:
    """Let what is started from now on have what it needs for this cluster."""
    for name, value in made.environment.items():
        patch.setenv(name, value)
