"""The simulated crawl: where a formula gives the answer, it gives the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpool.model import Fault
from pinpool.settings import Settings
from pinpool.tune.queueing import Machine
from pinpool.tune.recording import Recording
from pinpool.tune.simulator import Crawled, Simulation
from pinpool.tune.survival import FailureSample, Survival
from pinpool.tune.workload import Behavior, PageTree, Workload

REFUSED = FailureSample(Fault.REFUSED, 0.01)
BANNED = FailureSample(Fault.BANNED, 0.1)
RULES = Settings()


def workload(
    latency: float = 0.2,
    *,
    failure: float = 0.0,
    sample: FailureSample = BANNED,
    hazard: float = 0.0,
    dead_on_arrival: float = 0.0,
    again: float = 0.5,
    after_rest: float = 0.5,
) -> Workload:
    behavior = Behavior(failure, [sample])
    survival = Survival([], [], again, after_rest, dead_on_arrival, hazard)
    return Workload([latency], [behavior] * 10, survival, [[REFUSED]], 0.0, [])


def machine(latency: float = 0.2, *, cpu: float = 0.0) -> Machine:
    return Machine(wait=latency - cpu, demand=cpu, mean=latency, overhead=0.0)


def pages(count: int) -> PageTree:
    return PageTree(range(count), {}, frozenset(), count)


def crawl(
    made: Workload,
    *,
    workers: int = 4,
    proxies: int = 10,
    job: PageTree | None = None,
    rules: Settings = RULES,
    on: Machine | None = None,
    seed: int = 1,
) -> Crawled:
    known = on or machine(made.latencies[0])
    recording = Recording(made, known, [], job or pages(2000), rules, workers, proxies)
    return Simulation(recording, workers=workers, proxies=proxies, seed=seed).run()


def speed(figures: Crawled) -> float:
    return figures.pages / figures.seconds


@pytest.mark.parametrize("workers", [1, 4, 10])
def test_workers_that_never_wait_do_one_page_per_latency_each(workers: int) -> None:
    assert speed(crawl(workload(0.2), workers=workers)) == pytest.approx(workers / 0.2, rel=0.02)


def test_workers_beyond_the_proxies_park_from_beginning_to_end() -> None:
    figures = crawl(workload(), workers=20, proxies=5)

    assert speed(figures) == pytest.approx(5 / 0.2, rel=0.02)
    assert figures.parked == pytest.approx(0.75, abs=0.01)


def test_a_list_that_never_works_never_lasts() -> None:
    figures = crawl(workload(dead_on_arrival=1.0))

    assert (figures.lasted, figures.pages, figures.retired) == (False, 0, 10)


def test_a_pace_sets_the_speed_where_pages_are_quicker() -> None:
    figures = crawl(workload(0.1), workers=10, proxies=8, rules=replace(RULES, pace=0.5))

    assert speed(figures) == pytest.approx(8 / 0.5, rel=0.03)


def test_a_rate_for_the_site_holds_for_all_workers_together() -> None:
    assert speed(crawl(workload(), workers=10, rules=replace(RULES, site_rate=7.0))) == pytest.approx(7.0, rel=0.02)


def test_busy_cores_are_the_limit_however_many_workers_there_are() -> None:
    figures = crawl(workload(0.1), workers=10, on=machine(0.1, cpu=0.05), job=pages(4000))

    assert speed(figures) == pytest.approx(1 / 0.05, rel=0.03)


def test_the_same_seed_gives_the_same_crawl_and_another_gives_another() -> None:
    shaky = workload(failure=0.05, hazard=0.001)

    assert crawl(shaky, seed=3) == crawl(shaky, seed=3)
    assert crawl(shaky, seed=3) != crawl(shaky, seed=4)


@settings(max_examples=40)
@given(
    workers=st.integers(1, 30),
    proxies=st.integers(1, 30),
    failure=st.floats(0, 0.3),
    hazard=st.sampled_from([0.0, 0.001, 0.05]),
    seed=st.integers(0, 1000),
)
def test_the_figures_agree_in_every_workload(
    workers: int, proxies: int, failure: float, hazard: float, seed: int
) -> None:
    """Little's law for good attempts and parked workers; nothing ends twice; it lasts or all are retired."""
    figures = crawl(
        workload(failure=failure, hazard=hazard),
        workers=workers,
        proxies=proxies,
        job=pages(300),
        seed=seed,
    )

    assert figures.lasted == (figures.pages == 300)
    assert figures.lasted or figures.retired == proxies
    assert figures.attempts == figures.faults + figures.pages - figures.failed
    assert 0.0 <= figures.parked < 1.0
    assert 0.2 * (figures.pages - figures.failed) <= workers * figures.seconds * (1 + 1e-9)


def test_a_chain_of_list_pages_keeps_all_workers_but_one_waiting() -> None:
    chain = PageTree([0], {n: [n + 1] for n in range(99)}, frozenset(range(100)), 100)

    assert crawl(workload(0.2), workers=8, job=chain).seconds == pytest.approx(100 * 0.2)


def test_dying_proxies_end_a_crawl_that_spares_would_have_saved() -> None:
    mortal = workload(hazard=0.02)

    few = [crawl(mortal, workers=4, proxies=4, seed=seed).lasted for seed in range(30)]
    many = [crawl(mortal, workers=4, proxies=100, seed=seed).lasted for seed in range(30)]

    assert sum(few) < 6
    assert sum(many) > 24


def test_the_chance_of_a_single_proxy_is_the_exponential_function() -> None:
    lasted = [
        crawl(workload(0.2, hazard=0.0069), workers=1, proxies=1, job=pages(500), seed=seed).lasted
        for seed in range(200)
    ]

    assert sum(lasted) / 200 == pytest.approx(0.5, abs=0.1)


def test_a_worker_keeps_its_pin_through_doubtful_faults_up_to_the_rule() -> None:
    shaky = workload(failure=0.2, again=0.2)

    patient = crawl(shaky, workers=10, proxies=10, rules=replace(RULES, swap_after=50))
    hasty = crawl(shaky, workers=10, proxies=10, rules=replace(RULES, swap_after=1))

    assert patient.parked == 0.0
    assert hasty.parked > 0.2


def test_a_page_that_always_fails_is_given_up_and_the_crawl_goes_on() -> None:
    broken = workload()._replace(page_failure=1.0, page_failures=[FailureSample(Fault.HTTP_ERROR, 0.1)])

    figures = crawl(broken, job=pages(20))

    assert (figures.lasted, figures.failed, figures.pages) == (True, 20, 20)


def test_a_retry_waits_for_a_proxy_that_has_not_tried_the_page() -> None:
    """One worker, two proxies: the page that fails on the first is done by an exchange for the second."""
    behaviors = [Behavior(1.0, [BANNED]), Behavior(0.0, [BANNED])]
    uneven = Workload([0.2], behaviors, Survival([], [], 1.0, 1.0, 0.0, 0.0), [], 0.0, [])

    figures = crawl(uneven, workers=1, proxies=2, job=pages(1), rules=replace(RULES, swap_after=99))

    assert figures.lasted
    assert figures.seconds < 2.0
