"""The simulated crawl: where a formula gives the answer, it gives the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpool.model import Fault
from pinpool.settings import Settings
from pinpool.tune import simulator
from pinpool.tune.queueing import Machine
from pinpool.tune.recording import Recording, Workload
from pinpool.tune.simulator import Crawl, Crawled, Scenario
from pinpool.tune.survival import Behavior, FailureSample, Survival

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
    behaviors = [Behavior(failure, [sample])] * 10
    return Workload([latency], Survival(behaviors, again, after_rest, dead_on_arrival, hazard, [[REFUSED]]))


def with_proxies(*behaviors: Behavior) -> Workload:
    made = workload(0.2)
    return made._replace(survival=made.survival._replace(behaviors=behaviors))


def machine(latency: float = 0.2, *, cpu: float = 0.0) -> Machine:
    return Machine(wait=latency - cpu, demand=cpu, mean=latency, overhead=0.0)


def crawl(
    made: Workload,
    *,
    workers: int = 4,
    proxies: int = 10,
    pages: int = 2000,
    depth: int = 1,
    rules: Settings = RULES,
    on: Machine | None = None,
    seed: int = 1,
) -> Crawled:
    known = on or machine(made.latencies[0])
    recording = Recording(made, known, pages, depth, rules, workers, proxies)
    return Crawl(Scenario(recording, workers, proxies), seed).run()


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
    figures = crawl(workload(0.1), workers=10, on=machine(0.1, cpu=0.05), pages=4000)

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
    """Little's law for pages and parked workers; no page ends twice; it lasts or all proxies are retired."""
    figures = crawl(
        workload(failure=failure, hazard=hazard),
        workers=workers,
        proxies=proxies,
        pages=300,
        seed=seed,
    )

    assert figures.lasted == (figures.pages > 299.999)
    assert figures.lasted or figures.retired == proxies
    assert 0.0 <= figures.parked < 1.0
    assert 0.2 * figures.pages <= workers * figures.seconds * (1 + 1e-9)
    assert figures.faults >= 6 * figures.retired


def test_a_chain_of_list_pages_keeps_all_workers_but_one_waiting() -> None:
    assert crawl(workload(0.2), workers=8, pages=100, depth=100).seconds == pytest.approx(100 * 0.2, rel=0.01)


def test_dying_proxies_end_a_crawl_that_spares_would_have_saved() -> None:
    mortal = workload(hazard=0.02)

    few = [crawl(mortal, workers=4, proxies=4, seed=seed).lasted for seed in range(30)]
    many = [crawl(mortal, workers=4, proxies=100, seed=seed).lasted for seed in range(30)]

    assert sum(few) < 6
    assert sum(many) > 24


def test_the_chance_of_a_single_proxy_is_the_exponential_function() -> None:
    lasted = [
        crawl(workload(0.2, hazard=0.0069), workers=1, proxies=1, pages=500, seed=seed).lasted for seed in range(200)
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

    figures = crawl(broken, pages=20)

    assert figures.lasted
    assert figures.faults == pytest.approx(3 * 20)


def test_failures_that_load_a_proxy_slow_it_down_by_the_time_they_take() -> None:
    slow = workload(0.2, failure=0.1, sample=FailureSample(Fault.TIMEOUT, 5.0), again=0.0)

    assert speed(crawl(slow, pages=20_000, rules=replace(RULES, swap_after=50))) == pytest.approx(
        4 / (0.2 + 0.1 * 5.0), rel=0.03
    )


def test_a_proxy_that_is_banned_rests_longer_each_time_and_retires() -> None:
    """Rests of 30, 60, 120, 240 and 480 seconds, a quarter more or less; the first ban comes at once."""
    banned = workload(failure=1.0, again=1.0, after_rest=1.0)

    figures = [crawl(banned, workers=1, proxies=1, seed=seed) for seed in range(5)]

    assert all((seen.retired, seen.lasted, seen.pages) == (1, False, 0.0) for seen in figures)
    assert {round(seen.faults) for seen in figures} == {3 + 5}


def test_a_page_that_hangs_at_the_end_is_asked_for_through_another_proxy_and_not_waited_for() -> None:
    """A fifth of the list hangs for 45 s; fifty pages are done before that."""
    made = workload(0.2, dead_on_arrival=0.2)
    dead = made._replace(survival=made.survival._replace(deaths=[[FailureSample(Fault.DEADLINE, 45.0)]]))

    seconds = [crawl(dead, workers=10, proxies=10, pages=50, seed=seed).seconds for seed in range(20)]

    assert max(seconds) < 10.0


def test_a_crawl_of_very_many_events_goes_on_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    shaky = workload(failure=0.02, again=0.2)
    whole = crawl(shaky, pages=20_000)

    monkeypatch.setattr(simulator, "MOST_EVENTS", whole.cost // 2)
    half = crawl(shaky, pages=20_000)

    assert half.lasted
    assert half.seconds == pytest.approx(whole.seconds, rel=0.1)


def test_proxies_that_the_site_bans_after_some_pages_leave_the_work_to_the_others() -> None:
    """Three of ten serve ten pages each. The longer the job is, the less that matters."""
    made = with_proxies(*[Behavior(0.0, [], 10, [BANNED])] * 3, *[Behavior(0.0, [], 50)] * 7)

    figures = crawl(made, workers=10, pages=50_000)

    assert (figures.lasted, figures.retired) == (True, 3)
    assert speed(figures) == pytest.approx(7 / 0.2, rel=0.01)


def test_a_site_that_bans_every_proxy_after_some_pages_gives_so_many_pages_and_no_more() -> None:
    """One of the ten was tried late, and had served two pages when the run ended."""
    made = with_proxies(*[Behavior(0.0, [], 40, [BANNED])] * 9, Behavior(0.0, [], 2))

    assert crawl(made, pages=399).lasted
    assert crawl(made, pages=401).pages == pytest.approx(400)
