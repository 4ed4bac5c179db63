"""`pinpool try` as a user starts it: one page, through a proxy or directly."""

from __future__ import annotations

import json

from commands import LIST, Desk
from pinpool.lab import Lab


def test_trying_a_list_page_shows_its_tasks_and_writes_nothing(desk: Desk, lab: Lab) -> None:
    before = sorted(desk.folder.iterdir())

    code, out, err = desk.run("try", "films.py", *LIST)

    assert (code, err) == (0, "")
    assert out.startswith(f"through {lab.proxies[0].label}\n200 {lab.named_url}/page/1: ")
    assert out.count("detail: GET ") == 10
    assert out.endswith("0 items, 10 tasks\n")
    assert sorted(path for path in desk.folder.iterdir() if path.name != "__pycache__") == before


def test_trying_a_film_shows_its_item_through_the_first_proxy_that_works(desk: Desk, lab: Lab) -> None:
    lab.set_fault(0, "auth")
    url = f"{lab.named_url}/detail/7"

    code, out, err = desk.run("try", "films.py", url, "--stage", "detail", *LIST)

    item = json.loads(out[out.index("{") : out.index("}") + 1])
    assert code == 0
    assert err.startswith(f"{lab.proxies[0].label}: proxy_auth: ")
    assert out.startswith(f"through {lab.proxies[1].label}\n")
    assert item == {"url": url, "title": lab.films()["/detail/7"].title}


def test_trying_directly_goes_past_the_proxies_and_past_those_of_the_environment(desk: Desk) -> None:
    with Lab(pages=1, proxies=2) as lab:
        desk.prepare(lab)
        trap = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), lab.proxies[0].url)

        index = desk.run("try", "films.py", f"{lab.url}/page/1", "--direct", **trap)
        film = desk.run("try", "films.py", f"{lab.url}/detail/1", "--stage", "detail", "--direct", **trap)

        assert (index.code, film.code) == (0, 0)
        assert index.out.endswith("0 items, 10 tasks\n")
        assert lab.films()["/detail/1"].title in film.out
        assert (lab.direct, len(lab.requests)) == (2, 2)


def test_trying_a_page_that_yields_nothing_is_exit_3(desk: Desk, lab: Lab) -> None:
    lab.set_site_fault("/page/2", 503)

    wrong = desk.run("try", "films.py", f"{lab.named_url}/detail/1", "--stage", "index", *LIST)
    ill = desk.run("try", "films.py", f"{lab.named_url}/page/2", *LIST)

    assert (wrong.code, ill.code) == (3, 3)
    assert wrong.err.startswith("nothing extracted")
    assert "server_error" in ill.err


def test_a_setting_of_the_command_line_takes_the_place_of_the_spiders(desk: Desk, lab: Lab) -> None:
    small = desk.run("try", "films.py", *LIST, "-s", "max_body=1000")
    wrong = desk.run("try", "films.py", *LIST, "-s", "max_bdy=1000", "--select", "a[href")

    assert small.code == 3
    assert "too_large" in small.err
    assert wrong.code == 2
    assert "max_bdy: no such setting; did you mean max_body" in wrong.err
    assert "--select: " in wrong.err
