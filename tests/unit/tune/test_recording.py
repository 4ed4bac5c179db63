"""What is learnt from the attempts of a run: which proxies die, how the others fail, and the pages of a job."""

from __future__ import annotations

from random import Random

import pytest

from attempts import START, attempt, good
from pinpool.errors import UsageError
from pinpool.tune.recording import job_of, observe


def test_too_few_good_attempts_are_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"only 29 good attempts .* --limit 300"):
        observe(good(29), {})


def test_a_calm_run_has_no_faults_and_no_deaths() -> None:
    calm = observe(good(100), {})

    assert (
        calm.survival.hazard,
        calm.survival.dead_on_arrival,
        calm.page_failure,
        calm.survival.behaviors[0].failure,
    ) == (
        0.0,
        0.0,
        0.0,
        0.0,
    )


def test_a_proxy_that_fails_beyond_its_rest_is_dead_and_no_fault_of_a_living_one() -> None:
    rows = [*good(400, proxy=2), *good(200), *(attempt(50.0 + n, fault="refused") for n in (1, 20))]

    seen = observe(rows, {1: [START + 51.5]})

    assert seen.survival.hazard == pytest.approx(1 / 150, rel=0.02)
    assert [failure.fault for failure in seen.survival.deaths[0]] == ["refused", "refused"]
    assert all(behavior.failure == 0.0 for behavior in seen.survival.behaviors)


def test_a_proxy_that_comes_back_after_its_rest_has_not_died() -> None:
    rows = [*good(100), attempt(30.0, fault="banned"), attempt(70.0)]

    seen = observe(rows, {1: [START + 30.1]})

    assert (seen.survival.hazard, seen.survival.deaths) == (0.0, [])
    assert seen.survival.after_rest < 0.5


def test_a_proxy_that_the_site_bans_for_good_has_its_pages_counted_and_is_no_sign_of_deaths() -> None:
    rows = [*good(400, proxy=2), *good(10), *(attempt(3.0 + n, fault="banned") for n in range(3))]

    seen = observe(rows, {1: [START + 5.1]})

    assert (seen.survival.hazard, seen.survival.deaths) == (0.0, [])
    assert sorted((behavior.pages, len(behavior.ban)) for behavior in seen.survival.behaviors) == [(10, 3), (400, 0)]


def test_a_proxy_that_refused_from_the_first_moment_never_worked() -> None:
    rows = [*good(100), *(attempt(n, 0.01, proxy=2, fault="refused") for n in (0.0, 20.0))]

    seen = observe(rows, {2: [START + 0.1]})

    assert seen.survival.dead_on_arrival == pytest.approx(0.5)
    assert seen.survival.hazard == 0.0


def test_pages_that_are_to_blame_themselves_are_not_held_against_proxies() -> None:
    rows = [*good(90), *(attempt(30.0 + n, fault="http_error", charged=False) for n in range(10))]

    seen = observe(rows, {})

    assert seen.page_failure == pytest.approx(0.1)
    assert seen.survival.behaviors[0].failure == 0.0


def test_the_rate_of_deaths_is_found_though_many_die_unseen() -> None:
    """Ten workers use up three hundred proxies; those that died as spares are found dead at their first use."""
    random, rate = Random(5), 0.1
    rows, rests, free = [], {}, [0.0] * 10
    for proxy in range(1, 301):
        at = min(free)
        free.remove(at)
        dies = random.expovariate(rate)
        while at < dies:
            rows.append(attempt(at, proxy=proxy))
            at += 0.25
        rows += [attempt(at, 0.01, proxy=proxy, fault="refused")]
        rows += [attempt(at + 90, 0.01, proxy=proxy, fault="refused")]
        rests[proxy] = [START + at + 0.02]
        free.append(at + 0.02)

    seen = observe(rows, rests)

    assert seen.survival.hazard == pytest.approx(rate, rel=0.2)
    assert seen.survival.dead_on_arrival < 0.05


def test_proxies_first_tried_long_after_all_others_had_died_are_no_trouble() -> None:
    rows = [
        row for proxy in range(1, 41) for row in [*good(6, proxy=proxy), attempt(1.5, proxy=proxy, fault="refused")]
    ]
    rows += [attempt(2000.0 + n, proxy=50 + n, fault="refused") for n in range(34)]

    assert observe(rows, {}).survival.hazard > 0.1


def test_a_proxy_that_may_die_dies_as_one_was_seen_to() -> None:
    """No end is surely death here, yet some are likely to be."""
    rows = []
    for proxy in range(1, 41):
        rows += good(40, proxy=proxy)
        rows += [attempt(10.0, proxy=proxy, fault="reset"), *good(5, proxy=proxy, begin=10.25)]
        if proxy <= 6:
            rows += [attempt(12.0 + n / 4, proxy=proxy, fault="reset") for n in range(2)]

    seen = observe(rows, {})

    assert bool(seen.survival.deaths) == bool(seen.survival.hazard or seen.survival.dead_on_arrival)


def test_hours_between_a_stop_and_a_resume_do_not_count_as_time_survived() -> None:
    rows = [
        *good(200),
        *good(200, begin=86_400.0),
        *(attempt(86_450.0 + n, fault="refused") for n in (1, 20)),
    ]

    assert observe(rows, {1: [START + 86_451.5]}).survival.hazard == pytest.approx(1 / 100, rel=0.02)


def test_pages_that_lead_to_each_other_one_by_one_make_a_job_deep() -> None:
    chain = [(n, n - 1 if n > 1 else None, True) for n in range(1, 51)]

    assert job_of(chain) == (50, 50)
    assert job_of([(5, None, True), (6, 5, False), (9, 5, False)]) == (3, 2)


def test_list_pages_that_were_not_read_ask_for_as_many_pages_as_those_that_were() -> None:
    lists = [(n, None, True) for n in range(1, 11)]
    films = [(100 + n, 1 + n % 2, False) for n in range(20)]

    assert job_of([*lists, *films], complete=False) == (110, 2)
    assert job_of([*lists, *films]) == (30, 2)


def test_pages_that_ask_for_each_other_in_a_circle_are_seeds_all_the_same() -> None:
    assert job_of([(1, 2, True), (2, 1, True), (3, 3, False)]) == (3, 2)
