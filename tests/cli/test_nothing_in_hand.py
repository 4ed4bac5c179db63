"""A run with nothing in hand ends with exit 3 and says what to do."""

from __future__ import annotations

import re

from commands import LIST, SPIDER, Desk
from films import films, holds_each_film_once
from journals import damage
from pinpool.lab import Lab


def seeds(lab: Lab) -> str:
    return ", ".join(f'"{lab.named_url}/page/{n}"' for n in range(1, lab.catalogue.pages + 1))


def test_a_selector_that_matches_nothing_stops_its_stage_and_a_mended_spider_resumes(desk: Desk, lab: Lab) -> None:
    right = SPIDER.format(seeds=seeds(lab))
    desk.write("films.py", right.replace("h2", "h7"))

    stopped = desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl")
    verified = desk.run("verify", "films.db")
    tried = desk.run(*re.findall(r"`pinpool (try [^`]*)`", stopped.err)[0].split())
    desk.write("films.py", right)
    resumed = desk.run("resume", "films.db")

    assert stopped.code == 3
    assert stopped.out.startswith("stopped, nothing from stage detail: 2 pages, 0 items")
    assert "\nstage detail yielded nothing from 1" in stopped.err
    assert "`pinpool resume films.db` asks for these pages again" in stopped.err
    assert (verified.code, "proven complete" in verified.out) == (3, False)
    assert (tried.code, "nothing extracted" in tried.err) == (3, True)
    assert resumed.code == 0
    assert holds_each_film_once(desk, lab)


def test_seeds_that_are_all_gone_are_exit_3(desk: Desk, lab: Lab) -> None:
    desk.write("films.py", SPIDER.format(seeds=f'"{lab.named_url}/nowhere"'))

    said = desk.run("crawl", "films.py", *LIST)

    assert said.code == 3
    assert "every seed is gone (404 or 410): 1 page\n" in said.err
    assert said.out.startswith("over, nothing extracted: 1 page, 0 items")


def test_pages_in_doubt_are_exit_3_and_a_resume_asks_for_them_once_more(desk: Desk, lab: Lab) -> None:
    """As a run leaves it whose other proxies have all gone before they could give these pages."""
    desk.write("films.py", SPIDER.format(seeds=seeds(lab)))
    lab.set_latency(0.05)  # each proxy gives some pages, so that it can tell
    assert desk.run("crawl", "films.py", *LIST, "-o", "films.jsonl").code == 0
    unanswered = "INSERT INTO doubts (task, proxy, sure, why, verdict) SELECT task, proxy, 1, '', 'unknown' FROM items"
    damage(desk / "films.db", f"{unanswered} JOIN attempts USING (task) LIMIT 3")

    verified, stats = desk.run("verify", "films.db"), desk.run("report", "films.db", "-o", "r.html")
    resumed = desk.run("resume", "films.db")

    assert verified.code == 3
    assert "NOT complete: 3 pages are in doubt: the proxy that gave them was found out" in verified.out
    assert stats.code == 0
    assert "over, 3 pages in doubt" in (desk / "r.html").read_text()
    assert resumed.code == 0, resumed.err
    assert holds_each_film_once(desk, lab)


def test_a_field_that_is_always_empty_is_a_warning_and_no_failure(desk: Desk, lab: Lab) -> None:
    spider = SPIDER.format(seeds=seeds(lab)).replace('"url": page.url,', '"url": page.url, "score": page.first("h7"),')
    desk.write("films.py", spider)

    said = desk.run("crawl", "films.py", *LIST)

    assert said.code == 0
    assert f"fields of {len(films(lab))} items of stage detail: url 100%, score 0%, title 100%" in said.out
    assert "warning: stage detail: score is empty in all" in said.err
