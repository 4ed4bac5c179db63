"""Bad proxies, bad pages, a bad site, in thousands of pages of simulated time: none pays for the fault of another."""

from __future__ import annotations

from random import Random

import pytest

from simulated import GOOD, Crawl, Manner

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


def mixed(good: int, bad: int, sight: str, share: float = 1.0, since: float = 0.0) -> list[Manner]:
    return [GOOD] * good + [Manner(sight, share, since)] * bad


@pytest.mark.grid(keep=6)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bad", [10, 25, 40])
@pytest.mark.parametrize("sight", [*ANSWERS, *SILENCE, "refused"])
def test_proxies_that_show_no_page_cost_no_page_whatever_they_show(sight: str, bad: int, seed: int) -> None:
    crawl = Crawl(mixed(50 - bad, bad, sight), pages=300, bad=scattered(300, seed, 0.02), seed=seed)

    verdicts = crawl.run()

    verdicts.are_just()
    assert verdicts.seconds < 400
    assert verdicts.rests_of_good <= 20, verdicts


@pytest.mark.grid(keep=3)
@pytest.mark.parametrize("share", [0.5, 0.7])
@pytest.mark.parametrize("sight", [*ANSWERS, *SILENCE])
def test_flaky_proxies_that_agree_by_chance_are_no_witnesses(sight: str, share: float) -> None:
    verdicts = Crawl(mixed(10, 40, sight, share), pages=1000, bad=scattered(1000)).run()

    assert (verdicts.end, verdicts.waiting, verdicts.wrongly_believed) == ("complete", 0, []), verdicts
    # Forty that lie every other time: a page or two meets three of them in their best hour.
    assert len(verdicts.wrongly_failed) <= 2, verdicts
    assert verdicts.retired[0] == 0


@pytest.mark.grid(keep=4)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sight", [*ANSWERS, *SILENCE, "refused", "login"])
def test_proxies_that_turn_bad_under_way_lose_their_say(sight: str, seed: int) -> None:
    crawl = Crawl(mixed(25, 25, sight, since=2.0), pages=800, bad=scattered(800, seed), seed=seed)

    crawl.run().are_just()


@pytest.mark.grid(keep=4)
@pytest.mark.parametrize("good, bad", [(1, 1), (1, 2), (1, 4), (2, 8)])
@pytest.mark.parametrize("sight", ["400", "502", "banned", "empty", "reset"])
def test_one_good_proxy_is_enough_for_a_short_list(sight: str, good: int, bad: int) -> None:
    verdicts = Crawl(mixed(good, bad, sight), pages=150, bad={40: "reset", 120: "503"}, patience=7200).run()

    verdicts.are_just()


@pytest.mark.grid(keep=8)
@pytest.mark.parametrize(
    "proxies, workers", [(1, 1), (2, 2), (2, 1), (10, 10), (10, 1), (100, 100), (100, 3)]
)
@pytest.mark.parametrize("seconds", [1, 60, 900])
@pytest.mark.parametrize("sight", ["503", "banned", "reset", "silent"])
def test_an_outage_costs_neither_page_nor_proxy(sight: str, seconds: int, proxies: int, workers: int) -> None:
    def weather(now: float) -> str:
        return sight if 2 <= now < 2 + seconds else ""

    pages = 100 if proxies < 100 else 1200
    verdicts = Crawl([GOOD] * proxies, pages, workers, weather=weather, patience=6000).run()

    verdicts.are_just()
    assert verdicts.seconds < 1.15 * seconds + 200


@pytest.mark.grid(keep=3)
@pytest.mark.parametrize("proxies", [1, 2, 10, 100])
@pytest.mark.parametrize("sight", ["503", "banned", "reset", "silent"])
def test_an_outage_from_the_first_second_on_is_waited_for(sight: str, proxies: int) -> None:
    verdicts = Crawl([GOOD] * proxies, 300, weather=lambda now: sight if now < 60 else "").run()

    verdicts.are_just()


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("sight", ["503", "banned", "reset", "silent", "stuck"])
def test_a_site_that_turns_everybody_away_from_the_start_ends_the_run_and_nothing_is_lost(sight: str) -> None:
    verdicts = Crawl([GOOD] * 20, 200, weather=lambda now: sight).run()

    assert (verdicts.end, verdicts.waiting, verdicts.retired) == ("starved", 200, (0, 0)), verdicts
    assert 600 < verdicts.seconds < 700
    assert verdicts.attempts < 100, "it is asked now and then"


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("proxies", [1, 2, 10])
def test_a_spider_that_raises_on_every_page_fails_them_and_no_proxy(proxies: int) -> None:
    verdicts = Crawl([GOOD] * proxies, 100, weather=lambda now: "broken").run()

    assert (verdicts.end, len(verdicts.wrongly_failed), verdicts.retired) == ("complete", 100, (0, 0)), (
        verdicts
    )


@pytest.mark.grid(keep=4)
@pytest.mark.parametrize("proxies", [1, 2, 8])
@pytest.mark.parametrize("sight", [*ANSWERS, *SILENCE, "broken"])
def test_twenty_bad_pages_at_the_end_are_failed_soon_and_cost_no_proxy(sight: str, proxies: int) -> None:
    verdicts = Crawl([GOOD] * proxies, 200, bad=dict.fromkeys(range(180, 200), sight)).run()

    verdicts.are_just()
    assert verdicts.attempts < 1000, (
        "four for each, a site probe now and then, and those while the site was suspected"
    )


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("seed", range(4))
def test_a_list_that_dies_before_the_last_page_leaves_that_page_for_a_better_one(seed: int) -> None:
    """The last page meets every dead proxy six times. Sixty refusals made it a failed one, and the run complete."""
    dying = [Manner("refused", since=1.0 + number * 0.2) for number in range(20)]

    verdicts = Crawl(dying, 520, seed=seed, settings={"cooling": 0.1}).run()

    assert (verdicts.end, verdicts.wrongly_failed) == ("starved", [])
    assert verdicts.waiting > 0
    assert verdicts.seconds < 60, (
        "a proxy that another worker holds again when the sentence comes is still sentenced"
    )


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("proxies", [2, 10])
@pytest.mark.parametrize("again", ["400", "503", "reset"])
def test_pages_that_have_changed_since_they_were_fetched_make_no_outage(again: str, proxies: int) -> None:
    bad = dict.fromkeys(range(100, 400, 60), "reset")

    verdicts = Crawl([GOOD] * proxies, 500, bad=bad, again=again, workers=1).run()

    assert (verdicts.end, verdicts.waiting, verdicts.retired[0]) == ("complete", 0, 0), verdicts
    assert verdicts.seconds < 1500


@pytest.mark.grid(keep=3)
@pytest.mark.parametrize("good, bad, workers", [(20, 80, 1), (4, 16, 1), (2, 8, 2)])
@pytest.mark.parametrize("sight", ["reset", "banned", "400"])
def test_a_few_workers_find_the_good_ones_of_a_bad_list(
    sight: str, good: int, bad: int, workers: int
) -> None:
    crawl = Crawl(mixed(good, bad, sight), 400, workers, bad={100: "reset", 200: "503"}, patience=4000)

    crawl.run().are_just()
