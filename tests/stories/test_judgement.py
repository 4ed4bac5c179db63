"""Bad proxies, bad pages, a bad site, in thousands of pages of simulated time: none pays for the fault of another."""

from __future__ import annotations

from random import Random

import pytest

from simulated import GOOD, Behavior, Crawl

#: What bad proxies, and a site that is down, show instead of pages.
ANSWERS = ("400", "402", "502", "503", "banned", "empty")
SILENCE = ("reset", "silent", "stuck")
SEEDS = (1, 2)


def scattered(pages: int, seed: int = 1, share: float = 0.01) -> dict[int, str]:
    """Bad pages of all sorts, here and there."""
    random = Random(seed)
    return {
        number: random.choice(("reset", "400", "503", "banned", "empty"))
        for number in range(pages)
        if random.random() < share
    }


def mixed(good: int, bad: int, shown: str, share: float = 1.0, since: float = 0.0) -> list[Behavior]:
    return [GOOD] * good + [Behavior(shown, share, since)] * bad


@pytest.mark.grid(keep=3)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bad", [10, 25, 40])
@pytest.mark.parametrize("shown", [*ANSWERS, *SILENCE, "refused"])
def test_proxies_that_show_no_page_cost_no_page_whatever_they_show(shown: str, bad: int, seed: int) -> None:
    crawl = Crawl(mixed(50 - bad, bad, shown), pages=300, bad=scattered(300, seed, 0.02), seed=seed)

    result = crawl.run()

    result.are_just()
    assert result.seconds < 400
    assert result.rests_of_good <= 20, result


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("share", [0.5, 0.7])
@pytest.mark.parametrize("shown", [*ANSWERS, *SILENCE])
def test_flaky_proxies_that_agree_by_chance_are_no_witnesses(shown: str, share: float) -> None:
    result = Crawl(mixed(10, 40, shown, share), pages=1000, bad=scattered(1000)).run()

    assert (result.end, result.waiting, result.wrongly_believed) == ("complete", 0, []), result
    # Forty that lie every other time: a page or two meets three of them in their best hour.
    assert len(result.wrongly_failed) <= 2, result
    assert result.retired[0] == 0


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shown", [*ANSWERS, *SILENCE, "refused", "login"])
def test_proxies_that_turn_bad_under_way_lose_their_say(shown: str, seed: int) -> None:
    crawl = Crawl(mixed(25, 25, shown, since=2.0), pages=800, bad=scattered(800, seed), seed=seed)

    crawl.run().are_just()


@pytest.mark.grid(keep=4)
@pytest.mark.parametrize("good, bad", [(1, 1), (1, 2), (1, 4), (2, 8)])
@pytest.mark.parametrize("shown", ["400", "502", "banned", "empty", "reset"])
def test_one_good_proxy_is_enough_for_a_short_list(shown: str, good: int, bad: int) -> None:
    result = Crawl(mixed(good, bad, shown), pages=150, bad={40: "reset", 120: "503"}, patience=7200).run()

    result.are_just()


@pytest.mark.grid(keep=4)
@pytest.mark.parametrize("proxies, workers", [(1, 1), (2, 2), (2, 1), (10, 10), (10, 1), (100, 100), (100, 3)])
@pytest.mark.parametrize("seconds", [1, 60, 900])
@pytest.mark.parametrize("shown", ["503", "banned", "reset", "silent"])
def test_an_outage_costs_neither_page_nor_proxy(shown: str, seconds: int, proxies: int, workers: int) -> None:
    def site_shows(now: float) -> str:
        return shown if 2 <= now < 2 + seconds else ""

    pages = 100 if proxies < 100 else 1200
    result = Crawl([GOOD] * proxies, pages, workers, site_shows=site_shows, patience=6000).run()

    result.are_just()
    assert result.seconds < 1.15 * seconds + 200


@pytest.mark.grid(keep=3)
@pytest.mark.parametrize("proxies", [1, 2, 10, 100])
@pytest.mark.parametrize("shown", ["503", "banned", "reset", "silent"])
def test_a_hiccup_in_the_first_seconds_is_waited_for(shown: str, proxies: int) -> None:
    result = Crawl([GOOD] * proxies, 300, site_shows=lambda now: shown if now < 8 else "").run()

    result.are_just()


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("pages", [1, 200])
@pytest.mark.parametrize("proxies", [1, 2, 20, 100])
@pytest.mark.parametrize("shown", ["400", "401", "503", "banned", "reset", "silent", "stuck", "refused"])
def test_a_site_that_turns_everybody_away_from_the_start_ends_the_run_and_nothing_is_lost(
    shown: str, proxies: int, pages: int
) -> None:
    result = Crawl([GOOD] * proxies, pages, site_shows=lambda now: shown).run()

    assert (result.end, result.waiting, result.retired) == ("starved", pages, (0, 0)), result
    assert result.seconds < 60
    assert result.attempts <= max(4 * proxies, 10), "each proxy is asked once or twice"


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("pages", [1, 20])
@pytest.mark.parametrize("workers", [4, 10])
def test_a_list_of_which_nothing_works_ends_the_run_whatever_each_proxy_does(pages: int, workers: int) -> None:
    kinds = ["refused", "refused", "login", "login", "banned", "banned", "silent", "silent", "reset", "empty"]

    result = Crawl([Behavior(kind) for kind in kinds], pages, workers).run()

    assert (result.end, result.waiting) == ("starved", pages), result
    assert result.seconds < 120


def test_a_single_first_page_that_drips_everywhere_ends_the_run_within_two_minutes() -> None:
    result = Crawl([GOOD] * 10, 1, site_shows=lambda now: "late").run()

    assert (result.end, result.waiting, result.retired) == ("starved", 1, (0, 0)), result
    assert result.seconds < 110


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("shown", ["503", "banned", "reset", "silent"])
def test_a_run_that_has_worked_waits_as_long_as_its_site_patience_says(shown: str) -> None:
    crawl = Crawl([GOOD] * 10, 200, site_shows=lambda now: shown if now > 2 else "", settings={"site_patience": 1200})

    result = crawl.run()

    assert (result.end, result.retired) == ("starved", (0, 0)), result
    assert 1200 < result.seconds < 1600


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("proxies", [1, 2, 10])
def test_a_spider_that_raises_on_every_page_is_stopped_and_no_proxy_is_blamed(proxies: int) -> None:
    result = Crawl([GOOD] * proxies, 100, site_shows=lambda now: "broken").run()

    assert (result.end, result.retired) == ("stopped", (0, 0)), result
    assert (len(result.wrongly_failed) + result.waiting, result.attempts < 100) == (100, True), result


@pytest.mark.grid(keep=4)
@pytest.mark.parametrize("proxies", [1, 2, 8])
@pytest.mark.parametrize("shown", [*ANSWERS, *SILENCE, "broken"])
def test_twenty_bad_pages_at_the_end_are_failed_soon_and_cost_no_proxy(shown: str, proxies: int) -> None:
    result = Crawl([GOOD] * proxies, 200, bad=dict.fromkeys(range(180, 200), shown)).run()

    result.are_just()
    assert result.attempts < 1000, "four for each, a site probe now and then, and those while the site was suspected"


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("seed", range(4))
def test_a_list_that_dies_before_the_last_page_leaves_that_page_for_a_better_one(seed: int) -> None:
    """The last page meets every dead proxy six times. Sixty refusals made it a failed one, and the run complete."""
    dying = [Behavior("refused", since=1.0 + number * 0.2) for number in range(20)]

    result = Crawl(dying, 520, seed=seed, settings={"cooling": 0.1}).run()

    assert (result.end, result.wrongly_failed) == ("starved", [])
    assert result.waiting > 0
    assert result.seconds < 60, "a proxy that another worker holds again when it is judged is judged all the same"


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("proxies", [2, 10])
@pytest.mark.parametrize("again", ["400", "503", "reset"])
def test_pages_that_have_changed_since_they_were_fetched_make_no_outage(again: str, proxies: int) -> None:
    bad = dict.fromkeys(range(100, 400, 60), "reset")

    result = Crawl([GOOD] * proxies, 500, bad=bad, again=again, workers=1).run()

    assert (result.end, result.waiting, result.retired[0]) == ("complete", 0, 0), result
    assert result.seconds < 1500


@pytest.mark.grid(keep=3)
@pytest.mark.parametrize("good, bad, workers", [(20, 80, 1), (4, 16, 1), (2, 8, 2)])
@pytest.mark.parametrize("shown", ["reset", "banned", "400"])
def test_a_few_workers_find_the_good_ones_of_a_bad_list(shown: str, good: int, bad: int, workers: int) -> None:
    crawl = Crawl(mixed(good, bad, shown), 400, workers, bad={100: "reset", 200: "503"}, patience=4000)

    crawl.run().are_just()


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_bad_proxies_of_a_hundred_cost_a_crawl_hardly_more_than_their_own_work(seed: int) -> None:
    kinds = ["refused", "silent", "login", "banned", "drip", "reset", "empty"]
    bad = [Behavior(kinds[number % len(kinds)]) for number in range(20)]
    crawl = Crawl([GOOD] * 80 + bad, pages=5005, seed=seed)

    result = crawl.run()

    result.are_just()
    assert result.seconds < 5005 * crawl.latency / 80 / 0.9
