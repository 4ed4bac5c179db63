from __future__ import annotations

from dataclasses import replace
from typing import Any

from pinpool.journal.records import settings_text
from pinpool.journal.yields import RunYield, StageYield
from pinpool.report.recommendations import recommend
from pinpool.stats.fields import StageFields
from run_data import START, bad, given_up, good, label, run_data


def titles(*arguments: Any, **named: Any) -> list[str]:
    return [advice.title for advice in recommend(run_data(*arguments, **named))]


def calm(proxies: int = 4, pages: int = 50) -> list[Any]:
    return [good(n, at) for at in range(pages) for n in range(1, proxies + 1)]


def test_a_run_without_trouble_has_no_recommendation() -> None:
    assert recommend(run_data(calm())) == []


def test_a_journal_without_a_single_attempt_has_no_recommendation() -> None:
    assert recommend(run_data([], proxies=0, tasks={"done": 0})) == []


def test_a_proxy_that_worked_until_a_moment_and_never_after_is_named_with_that_moment() -> None:
    dead = [bad(2, 400 + n, "refused") for n in range(3)]

    found = recommend(run_data([*calm(), *dead]))

    assert [advice.title for advice in found] == [f"{label(2)} worked until 2023-11-14 22:20:00 UTC and never after"]
    assert found[0].evidence == "Since then: refused 3."


def test_a_proxy_that_came_back_is_no_recommendation() -> None:
    assert titles([*calm(), *(bad(2, 400 + n, "refused") for n in range(3)), good(2, 500)]) == []


def test_many_proxies_that_stopped_make_one_recommendation() -> None:
    dead = [bad(proxy, 400 + n, "refused") for proxy in (1, 2, 3) for n in range(3)]

    found = recommend(run_data([*calm(8), *dead], proxies=8))

    assert [advice.title for advice in found] == ["3 proxies worked at first and then no more"]
    assert f"{label(3)} from 2023-11-14 22:20:00 UTC on (refused 3)" in found[0].evidence


def test_refused_logins_point_to_the_lines_of_the_list() -> None:
    found = recommend(run_data([*calm(3), bad(4, 1, "proxy_auth")], states={4: "retired"}))

    assert [advice.title for advice in found] == ["1 proxy refused the login"]
    assert found[0].evidence == f"Check user and password of this line in the list: {label(4)}."


def test_proxies_that_never_served_a_page_are_told_with_their_faults() -> None:
    found = recommend(run_data([*calm(3), bad(4, 1, "unreachable"), bad(4, 2, "refused"), bad(4, 3, "refused")]))

    assert [advice.title for advice in found] == ["1 proxy never served a page"]
    assert found[0].evidence.startswith(f"refused 2, unreachable 1: {label(4)}.")


def test_bans_of_few_proxies_speak_against_these_and_bans_of_many_against_the_pace() -> None:
    few = [page for n in range(20) for page in (bad(1, n, "banned"), good(1, n + 0.5))]
    many = [page for n in range(20) for p in range(1, 9) for page in (bad(p, n, "banned"), good(p, n + 0.5))]

    few_found = recommend(run_data([*calm(8), *few], proxies=8))
    many_found = recommend(run_data(many, proxies=8, state="interrupted", tasks={"waiting": 5}))

    assert [advice.title for advice in few_found] == ["The site blocks 1 of 8 proxies"]
    assert "The site blocks 8 of 8 proxies, on and off" in [advice.title for advice in many_found]
    assert ("pinpool resume movies.db --pace 2",) in [advice.commands for advice in many_found]


def test_a_proxy_that_the_site_blocks_is_not_named_again_as_one_that_stopped_or_never_worked() -> None:
    blocked = [bad(2, 400 + n, "banned") for n in range(3)] + [bad(4, n, "empty") for n in range(3)]

    assert titles([*calm(3), *(good(p, n) for n in range(9) for p in (5, 6, 7, 8)), *blocked], proxies=8) == [
        "The site blocks 2 of 8 proxies"
    ]


def test_empty_pages_everywhere_point_to_the_spider_before_the_pace() -> None:
    rows = [page for n in range(20) for p in range(1, 9) for page in (bad(p, n, "empty"), good(p, n + 0.5))]

    found = recommend(run_data(rows, proxies=8))

    assert found[0].title == "Pages came out empty through 8 of 8 proxies"
    assert found[0].commands[0] == "pinpool failures movies.db --pages"
    assert found[0].commands[1] == "pinpool try movies.py -p PROXIES"
    assert "--pace" not in " ".join(advice.evidence for advice in found)


def test_bytes_for_nothing_are_told_with_the_share_of_the_bans() -> None:
    banned = [page for n in range(5) for page in (bad(1, n, "banned", size=60_000), good(1, n))]

    found = {advice.title: advice.evidence for advice in recommend(run_data([*calm(), *banned]))}

    assert list(found) == ["The site blocks 1 of 4 proxies"]
    assert found["The site blocks 1 of 4 proxies"].startswith(
        "5 attempts (2%) met a block page, or a page with nothing in it, for 300.0 kB of 505.0 kB, nearly all through"
    )


def test_bytes_and_time_for_nothing_are_one_entry() -> None:
    silent = [page for n in range(4) for page in (bad(1, n, "timeout", seconds=15, size=90_000), good(1, n))]

    found = recommend(run_data([*calm(), *silent]))

    assert [advice.title for advice in found] == [
        "64% of the bytes and 60% of the workers' fetching time were for nothing"
    ]


def test_what_pages_cost_that_were_given_up_is_no_entry_of_its_own() -> None:
    lost = [bad(p, n, "extract", size=99_000)._replace(charged=False) for p in (1, 2) for n in range(4)]

    assert titles([*calm(), *lost], tasks={"failed": 4}, faults_of_failed={"extract": 4}) == ["4 pages were given up"]


def test_what_proxies_cost_that_never_worked_stands_where_they_are_named() -> None:
    dead = [bad(4, n, "connect_timeout", seconds=5) for n in range(9)]

    found = recommend(run_data([*calm(3), *dead], run={"proxies": "/lists/my proxies.txt"}))

    assert [advice.title for advice in found] == ["1 proxy never served a page"]
    assert "They took 60% of the workers' fetching time." in found[0].evidence
    assert found[0].commands == ("pinpool check '/lists/my proxies.txt'",)


def test_time_spent_on_silent_proxies_suggests_a_shorter_wait() -> None:
    silent = [page for n in range(4) for page in (bad(1, n, "timeout", seconds=15), good(1, n))]

    found = recommend(run_data([*calm(), *silent]))

    assert [advice.title for advice in found] == ["60% of the workers' fetching time was for nothing"]
    assert found[0].evidence.endswith("A shorter --timeout gives up sooner on a proxy that does not answer.")


def test_time_spent_on_pages_that_drip_suggests_a_shorter_deadline() -> None:
    """54.8 s against 5.9 s: a proxy that drips is never silent for as long as the time-out."""
    dripping = [page for n in range(4) for page in (bad(1, n, "deadline", seconds=45), good(1, n))]

    found = recommend(run_data([*calm(), *dripping]))

    assert found[0].evidence.endswith("A shorter --deadline gives up sooner on a page that only drips in.")


def test_pages_given_up_come_with_the_commands_that_go_on_and_nothing_of_theirs_runs_in_a_shell() -> None:
    url = "http://films.example/$(rm -rf ~)';\u202e"
    lost = given_up(1, url, "empty", "nothing")

    found = recommend(
        run_data(calm(), tasks={"failed": 1}, given_up=[lost], faults_of_failed={"empty": 1}, journal="my run.db")
    )

    assert [advice.title for advice in found] == ["1 page was given up"]
    assert found[0].commands == (
        "pinpool failures 'my run.db'",
        "pinpool try movies.py 'http://films.example/$(rm -rf ~)'\"'\"';' -p PROXIES",
        "pinpool retry 'my run.db' && pinpool resume 'my run.db'",
    )


def test_runs_that_are_not_over_come_first_with_the_way_on() -> None:
    why = "10 of 10 proxies failed (banned 403)"
    starved = recommend(run_data(calm(), state="starved", tasks={"waiting": 9, "failed": 1}, starved=why))
    stopped = recommend(run_data(calm(), state="interrupted", tasks={"waiting": 1}))

    assert starved[0].title == "Nothing could be fetched any more; 9 pages still wait"
    assert starved[0].evidence.startswith("10 of 10 proxies failed (banned 403). A resume")
    assert stopped[0].title == "The run was interrupted; 1 page still waits"
    assert stopped[0].commands == ("pinpool resume movies.db",)
    assert recommend(run_data(calm(), state="running", tasks={"waiting": 9})) == []


def test_a_damaged_journal_is_told() -> None:
    found = recommend(run_data(calm(), complete=False, damage=["2 items stored twice (item 4, 5)"]))

    assert found[0].title == "The journal does not prove the run"
    assert found[0].commands == ("pinpool verify movies.db",)


def test_a_silent_site_is_told_with_its_times() -> None:
    found = recommend(run_data(calm(), silences=[(START + 60, START + 180), (START + 300, START + 310)]))

    assert [advice.title for advice in found] == ["The whole site was silent for 130 s"]
    assert "2023-11-14 22:14:20 UTC to 2023-11-14 22:16:20 UTC, 2023" in found[0].evidence


def test_a_proxy_that_is_far_slower_than_the_others_is_named() -> None:
    found = recommend(run_data([*calm(4), *(good(5, n, seconds=2.0) for n in range(30))], proxies=5))

    assert [advice.title for advice in found] == ["1 proxy is far slower than the others"]
    assert label(5) in found[0].evidence


def test_lost_workers_are_told() -> None:
    assert titles(calm(), run={"worker_losses": 4}) == ["4 workers died or hung, and were replaced"]


def test_a_line_that_is_off_the_list_is_nobodys_to_mend() -> None:
    dead = [bad(2, 400 + n, "refused") for n in range(3)]
    told = run_data([*calm(3), *dead, bad(4, 1, "proxy_auth")], states={2: "retired", 4: "retired"})
    without = [proxy._replace(listed=proxy.id not in (2, 4)) for proxy in told.proxies]

    assert len(recommend(told)) == 2
    assert recommend(replace(told, proxies=without)) == []


def test_a_page_that_was_kept_is_tried_without_asking_the_site() -> None:
    lost = given_up(7, "http://films.example/7", "extract", "no year", page=3)

    found = recommend(run_data(calm(), tasks={"failed": 1}, given_up=[lost], journal="my run.db"))

    assert found[0].commands[1] == "pinpool try movies.py --page 'my run.db:3'"


def test_what_no_proxy_is_charged_for_speaks_against_none() -> None:
    """A spider that reads nothing, or a site that is down."""
    spider = [bad(p, 400 + n, "extract")._replace(charged=False) for p in (1, 2) for n in range(9)]
    site = [bad(p, 500 + n, "empty")._replace(forgiven=True) for p in (1, 2) for n in range(9)]

    told = titles([*(good(1, n) for n in range(90)), *spider, *site], proxies=2)

    assert [title for title in told if "never" in title or "worked" in title] == []


BARREN = StageYield(
    "detail", fruitless=10, settled=3, waiting=67, proxies=4, url="http://films.example/1", message="so"
)


def test_a_stage_that_yielded_nothing_is_the_first_thing_to_look_at() -> None:
    found = RunYield((StageYield("index", fruitful=7), BARREN), 0, {"done": 7})

    empty = [
        bad(p, n, "empty", seconds=2, size=9000)._replace(charged=False) for p in (1, 2, 3, 4) for n in range(90, 94)
    ]
    lost = {"failed": 3, "waiting": 67}

    first, *others = recommend(
        run_data([*calm(), *empty], state="stopped", complete=False, found=found, samples={"detail": 2}, tasks=lost)
    )

    assert others == [], "one cause, one entry"
    assert first.title == "Stage detail yielded nothing"
    assert first.evidence.startswith(
        "stage detail yielded nothing from 10 pages on 4 proxies: so. 67 pages of it wait."
    )
    assert first.commands == (
        "pinpool try movies.py --page movies.db:2 --stage detail",
        "pinpool resume movies.db",
    )


def test_a_field_that_is_empty_in_all_items_is_named() -> None:
    fields = [StageFields("detail", 20, {"title": 20, "score": 0})]

    (found,) = recommend(run_data(calm(), fields=fields))

    assert found.title == "score is empty in all items of stage detail"
    assert found.commands == ("pinpool try movies.py http://films.example/detail/1 -p PROXIES --stage detail",)


def test_a_command_that_asks_for_a_page_names_the_arguments_of_the_spider_and_no_value() -> None:
    lost = given_up(7, "http://films.example/7", "extract", "no year")
    settings = settings_text({"pace": 1.0}, (("kind", "drama"), ("token", "hunter2")))

    found = recommend(run_data(calm(), tasks={"failed": 1}, given_up=[lost], run={"settings": settings}))

    asked = "pinpool try movies.py http://films.example/7 -a kind=VALUE -a token=VALUE -p PROXIES"
    assert found[0].commands[1] == asked


def test_a_run_at_its_limit_can_go_on() -> None:
    found = recommend(run_data(calm(), state="limited", complete=False, tasks={"waiting": 3}))

    assert found[0].commands == ("pinpool resume movies.db",)
