"""What a TOML spider makes of pages: items and tasks, as a worker makes them from its plan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pinpool.errors import SpiderError
from pinpool.model import Evidence, Sign, Step
from pinpool.settings import Settings
from toml_spiders import SITE, in_a_worker, item_of, items_of, made_of, outcome_of, toml_spider

FILM = """
<h1> Up <b>in the air</b></h1>
<p class="score">8.5 of 10</p>
<p class="score">n/a</p>
<p class="votes">12,345</p>
<p class="price">1.234,50 €</p>
<p class="day">29.02.2024</p>
<a class="poster" href="/up.jpg">poster</a>
<ul><li>Pete</li><li> </li><li>Bob </li></ul>
"""


# Fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('"h1::text"', " Up "),
        ('"h1"', "Up in the air"),
        ("{ first = \"//p[@class='score']/text()\" }", "8.5 of 10"),
        ('{ all = "li::text" }', ["Pete", " ", "Bob "]),
        ('{ all = "li::text", strip = true }', ["Pete", "", "Bob"]),
        ('{ all = "li::text", strip = true, joined = "|" }', "Pete||Bob"),
        ('{ all = "b.none", joined = "|" }', None),
        ('{ first = "a.poster", attribute = "href" }', "/up.jpg"),
        ('{ first = "a.poster", attribute = "href", absolute = true }', f"{SITE}/up.jpg"),
        ('{ first = "a.poster", attribute = "title" }', None),
        ('{ first = "p.score", number = true }', 8.5),
        ('{ all = "p.score", number = true }', [8.5]),
        ('{ first = "p.votes", number = true }', 12345),
        ('{ first = "p.price", number = "," }', 1234.5),
        ('{ first = "p.day", date = "%d.%m.%Y" }', "2024-02-29"),
        ('{ first = "p", regex = "of (\\\\d+)" }', "10"),
        ('{ first = "p", regex = "n/." }', "n/a"),
        ('{ first = "p", regex = "of (\\\\d+)", number = true }', 10),
        ('{ first = "h3" }', None),
        ('{ first = "h3", default = "none" }', "none"),
        ('{ all = "h3", default = ["none"] }', ["none"]),
        ('{ first = "p.score", required = true }', "8.5 of 10"),
        ("{ value = { fixed = [1] } }", {"fixed": [1]}),
        ('{ rows = "li", fields = { name = "::text" } }', [{"name": "Pete"}, {"name": " "}, {"name": "Bob "}]),
    ],
)
def test_a_field_is_what_its_table_says(tmp_path: Path, field: str, value: object) -> None:
    assert item_of(f"title = 'h1'\nfield = {field}\n", FILM, tmp_path)["field"] == value


def test_items_begin_with_the_url_of_their_page_unless_told_otherwise(tmp_path: Path) -> None:
    with_url = toml_spider(tmp_path, "[detail.fields]\ntitle = 'h1'\n")
    without = toml_spider(tmp_path, "[detail]\nurl = false\n[detail.fields]\ntitle = 'h1'\n")
    own = toml_spider(tmp_path, "[detail.fields]\ntitle = 'h1'\nurl = 'a::attr(href)'\n")

    assert made_of(with_url, FILM).items == (f'{{"url":"{SITE}/page","title":"Up in the air"}}',)
    assert items_of(made_of(without, FILM)) == [{"title": "Up in the air"}]
    assert made_of(own, FILM).items == ('{"url":"/up.jpg","title":"Up in the air"}',)


def test_a_page_without_a_required_field_is_a_block_page_and_the_line_is_named(tmp_path: Path) -> None:
    spider = toml_spider(tmp_path, "[detail.fields]\ntitle = 'h1'\nyear = { first = 'h3', required = true }\n")

    outcome = outcome_of(spider, FILM)

    reason = "detail.fields.year: required, but the page has nothing that fits (movies.toml:3)"
    assert outcome == Evidence(Step.PAGE, Sign.BAN, reason, 200)


def test_json_without_a_required_field_is_a_block_page_too(tmp_path: Path) -> None:
    spider = toml_spider(
        tmp_path, "[detail]\njson = true\nfields = { a = 'error', b = { first = 'film', required = true } }\n"
    )

    outcome = outcome_of(spider, {"error": "slow down"})

    assert isinstance(outcome, Evidence)
    assert outcome.sign is Sign.BAN


def test_a_row_without_a_required_field_is_an_error_with_its_line(tmp_path: Path) -> None:
    spider = toml_spider(tmp_path, "[detail]\nrows = 'p'\nfields = { a = '.', b = { first = 'b', required = true } }\n")

    outcome = outcome_of(spider, FILM)

    reason = "detail.fields.b: required, but the page has nothing that fits (movies.toml:3)"
    assert outcome == Evidence(Step.EXTRACT, Sign.RAISED, reason, 200)


def test_a_page_without_any_of_its_fields_is_empty_whatever_else_its_item_has(tmp_path: Path) -> None:
    spider = toml_spider(
        tmp_path,
        """
        seeds = [{ url = "http://site.example/", data = { shelf = 7 } }]
        [detail.fields]
        title = { first = "h1", default = "no title" }
        year = { first = "h3", required = true }
        site = { value = "site.example" }
        shelf = { data = "shelf" }
        """,
    )

    blocked = made_of(spider, "<p>Sorry</p>", data={"shelf": 7})

    assert blocked.empty
    assert items_of(blocked) == [{"url": f"{SITE}/page", "title": None, "year": None, "site": None, "shelf": None}]


def test_an_empty_page_is_complete_where_empty_pages_are_fine(tmp_path: Path) -> None:
    spider = toml_spider(tmp_path, "[detail.fields]\ntitle = { first = 'h1', default = 'none' }\n")

    (item,) = items_of(made_of(spider, "<p>Sorry</p>", settings=Settings(empty_ok=True)))

    assert item["title"] == "none"


def test_rows_make_an_item_of_each_match(tmp_path: Path) -> None:
    spider = toml_spider(
        tmp_path,
        """
        seeds = "http://site.example/"
        [index]
        rows = "//tr[td]"
        [index.fields]
        name = "td.name"
        price = { first = ".//td[2]/text()", number = true }
        link = { first = "//a/@href", absolute = true }
        """,
    )
    table = """<base href="/shop/"><table><tr><th>n</th></tr>
        <tr><td class=name>Nut</td><td>1</td><td><a href=nut>x</a></td></tr>
        <tr><td class=name>Bolt</td><td>2.5</td><td></td></tr></table>"""

    items = items_of(made_of(spider, table, stage="index"))

    assert items == [
        {"url": f"{SITE}/page", "name": "Nut", "price": 1, "link": f"{SITE}/shop/nut"},
        {"url": f"{SITE}/page", "name": "Bolt", "price": 2.5, "link": None},
    ]


def test_a_selector_that_fails_only_on_a_page_is_evidence_with_its_line(tmp_path: Path) -> None:
    spider = toml_spider(
        tmp_path,
        "[detail]\nrows = '//p'\n[detail.fields]\nu = 'count(//p)'\nx = { rows = './text()', fields = { y = '.' } }\n",
    )

    outcome = outcome_of(spider, FILM)

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith("detail.fields.x: './text()' finds text")
    assert outcome.message.endswith("(movies.toml:5)")


# Links


LINKS = """
<a class="name" href="/film/1">1</a><a class="name" href="film/2#top">2</a><a class="name" href="#">top</a>
<a class="name" href="mailto:x@site.example">write</a><a rel="next" href="?page=2">next</a>
<div class="card" data-id="a b"><i>one</i><a href="/r/1">r</a></div><div class="card" data-id="c"><i>two</i></div>
<form><input name="token" value="t&amp;1"></form>
"""


def requests_of(folder: Path, stage: str, body: Any = LINKS) -> list[tuple[str, str, str, bytes | None, Any]]:
    """(stage, method, URL, body, data) of each task that an index with these lines makes of a page."""
    text = f'seeds = "{SITE}/"\n[index]\n{stage}\n[detail.fields]\nx = "h1"\n[stages.reviews.fields]\nx = "h1"\n'
    text += "film = { data = 'film' }\n" if "data = {" in stage else ""
    spider = toml_spider(folder, text)
    made = made_of(spider, body, stage="index")
    return [(t.stage, t.method, t.url, t.body, json.loads(t.data) if t.data else None) for t in made.tasks]


TO_BOTH = "links.detail = 'nothing'\nlinks.reviews = 'nothing'\n"


def test_links_lead_to_details_to_further_pages_and_to_other_stages(tmp_path: Path) -> None:
    tasks = requests_of(
        tmp_path,
        """
        details = "a.name"
        more = "a[rel=next]::attr(href)"
        links.reviews = ["//div/a/@href", "//none"]
        """,
    )

    assert tasks == [
        ("detail", "GET", f"{SITE}/film/1", None, None),
        ("detail", "GET", f"{SITE}/film/2", None, None),
        ("index", "GET", f"{SITE}/page?page=2", None, None),
        ("reviews", "GET", f"{SITE}/r/1", None, None),
    ]


def test_links_that_lead_nowhere_are_left_out_and_said(tmp_path: Path) -> None:
    spider = toml_spider(tmp_path, f'seeds = "{SITE}/"\n[index]\nmore = "a.name"\n')

    left_out = made_of(spider, LINKS, stage="index").left_out

    assert any("mailto:" in link for link in left_out)


def test_links_of_rows_that_lead_nowhere_are_left_out_and_said_too(tmp_path: Path) -> None:
    text = f'seeds = "{SITE}/"\n[index]\nmore = {{ rows = "div", find = "a" }}\n'
    body = "<div><a href=' '>1</a><a href='#top'>2</a><a href='tel:1'>3</a><a>4</a><a href='/5'>5</a></div>"

    made = made_of(toml_spider(tmp_path, text), body, stage="index")

    assert [task.url for task in made.tasks] == [f"{SITE}/5"]
    assert [link.partition(" ")[0] for link in made.left_out] == ["a", "'#top'", "'tel:1'", "a"]


def test_what_a_selector_finds_may_be_a_part_of_a_url(tmp_path: Path) -> None:
    tasks = requests_of(tmp_path, TO_BOTH + "details = { find = '//div/@data-id', url = '/film/{}?all={}' }")

    assert [url for _, _, url, _, _ in tasks] == [f"{SITE}/film/a%20b?all=a%20b", f"{SITE}/film/c?all=c"]


def test_a_link_may_be_a_form_with_hidden_fields(tmp_path: Path) -> None:
    tasks = requests_of(
        tmp_path,
        TO_BOTH
        + """
        [[index.more]]
        find = "//div/@data-id"
        url = "/search"
        form = { page = "{}", size = 20, token = { first = "input[name=token]::attr(value)" } }
        """,
    )

    assert tasks == [
        ("index", "POST", f"{SITE}/search", b"page=a+b&size=20&token=t%261", None),
        ("index", "POST", f"{SITE}/search", b"page=c&size=20&token=t%261", None),
    ]


def test_rows_hand_on_what_belongs_to_each_link(tmp_path: Path) -> None:
    tasks = requests_of(
        tmp_path,
        """
        details = "nothing"
        [index.links.reviews]
        rows = "div.card"
        find = "a"
        data = { film = "i", id = { first = "@data-id", required = true }, kind = { value = "card" } }
        """,
    )

    assert tasks == [("reviews", "GET", f"{SITE}/r/1", None, {"film": "one", "id": "a b", "kind": "card"})]


def test_data_that_is_handed_on_is_a_field_of_the_next_stage(tmp_path: Path) -> None:
    item = item_of(
        "title = 'h1'\nfilm = { data = 'film' }\nrank = { data = 'rank', default = 0 }\n",
        FILM,
        tmp_path,
        data={"film": "Up"},
    )

    assert item == {"title": "Up in the air", "film": "Up", "rank": 0}


# JSON


API = {
    "results": [{"id": 7, "title": "Up", "tags": ["a", None, "b"], "when": "2024-02-29"}, {"id": 8}],
    "next": "c/1",
    "more": False,
}


def test_a_page_of_json_is_asked_by_jmespath_and_numbers_stay_numbers(tmp_path: Path) -> None:
    spider = toml_spider(
        tmp_path,
        """
        seeds = "http://site.example/"
        [index]
        json = true
        rows = "results"
        [index.fields]
        id = "id"
        title = { first = "title", default = "?" }
        tags = { all = "tags" }
        tag = "tags"
        number = { first = "id", number = true }
        code = { first = "id", regex = "7" }
        day = { first = "when", date = true }
        """,
    )

    up, other = items_of(made_of(spider, API, stage="index"))

    assert up == {
        "url": f"{SITE}/page",
        "id": 7,
        "title": "Up",
        "tags": ["a", "b"],
        "tag": "a",
        "number": 7,
        "code": "7",
        "day": "2024-02-29",
    }
    assert (other["title"], other["tags"], other["code"]) == ("?", [], None)


def test_a_cursor_and_an_id_in_json_become_urls_and_bodies(tmp_path: Path) -> None:
    tasks = requests_of(
        tmp_path,
        TO_BOTH
        + """
        json = true
        details = { find = "results[].id", url = "/film/{}" }
        [[index.more]]
        find = "next"
        url = "?cursor={}"
        [[index.more]]
        find = "results[0].id"
        url = "/graph"
        json = { query = "{ films }", variables = { after = "{}", note = "id {}" } }
        [[index.more]]
        find = "more && next"
        """,
        API,
    )

    assert [(stage, method, url) for stage, method, url, _, _ in tasks] == [
        ("detail", "GET", f"{SITE}/film/7"),
        ("detail", "GET", f"{SITE}/film/8"),
        ("index", "GET", f"{SITE}/page?cursor=c%2F1"),
        ("index", "POST", f"{SITE}/graph"),
    ]
    assert json.loads(tasks[3][3] or b"") == {"query": "{ films }", "variables": {"after": 7, "note": "id 7"}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>blocked</html>", "index: the body is not JSON: "),
        ({"films": 5}, "index.fields.n: 'length(films)' cannot be used here: "),
        ({"films": [], "next": {"a": 1}}, "index.more: 'next' finds {\"a\": 1}, which is not a link"),
    ],
)
def test_json_that_does_not_fit_is_evidence_with_its_line(tmp_path: Path, body: Any, message: str) -> None:
    spider = toml_spider(
        tmp_path, 'seeds = "http://site.example/"\n[index]\njson = true\nmore = "next"\nfields.n = "length(films)"\n'
    )

    outcome = outcome_of(spider, body, stage="index")

    assert isinstance(outcome, Evidence)
    assert outcome.message.startswith(message)
    assert "(movies.toml:" in outcome.message


# Around the pages


def test_ban_rules_settings_and_headers_are_those_of_the_spider(tmp_path: Path) -> None:
    spider = toml_spider(
        tmp_path,
        """
        name = "films"
        seeds = "http://site.example/"
        headers = { Accept-Language = "en" }
        index.more = "a"
        [ban]
        status = 418
        text = "unusual traffic"
        selector = ["#captcha"]
        [settings]
        pace = 1.5
        robots = true
        """,
    )

    expected = Settings(
        pace=1.5,
        robots=True,
        headers={"Accept-Language": "en"},
        ban_status=(418,),
        ban_text=("unusual traffic",),
        ban_selector=("#captcha",),
    )
    assert (spider.name, spider.settings) == ("films", expected)


def test_variables_are_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIES_KIND", "drama")
    monkeypatch.setenv("MOVIES_PACE", "2.5")
    text = """
        seeds = "http://site.example/${MOVIES_KIND}/$${x}"
        [detail.fields]
        kind = { first = "//${MOVIES_KIND}", default = "${MOVIES_KIND}" }
        [settings]
        pace = "${MOVIES_PACE}"
        """

    spider = toml_spider(tmp_path, text)

    assert [getattr(seed, "url", seed) for seed in spider.start()] == [f"{SITE}/drama/$%7Bx%7D"]
    assert spider.settings.pace == 2.5
    assert items_of(made_of(spider, "<drama>yes</drama>"))[0]["kind"] == "yes"


def test_an_argument_goes_before_the_environment_and_reaches_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIND", "drama")

    spider = toml_spider(
        tmp_path, "[detail.fields]\nkind = { first = 'h1', default = '${KIND}' }\nb = 'b'\n", KIND="war"
    )

    assert items_of(made_of(spider, "<b>b</b>"))[0]["kind"] == "war"
    assert spider.ref().arguments == (("KIND", "war"),)
    assert "war" not in str(spider.ref())


def test_arguments_that_the_spider_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpiderError) as refused:
        toml_spider(tmp_path, "[detail.fields]\nkind = '//${KIND}'\n", KIND="war", KINDS="x")

    assert refused.value.problems == (f"{tmp_path}/movies.toml: -a KINDS: no such argument; did you mean KIND?",)


def test_a_worker_reads_the_plan_and_not_the_file(tmp_path: Path) -> None:
    spider = toml_spider(tmp_path, "[detail.fields]\ntitle = 'h1'\n")
    (tmp_path / "movies.toml").write_text("half a fi")

    assert items_of(made_of(spider, FILM))[0]["title"] == "Up in the air"
    assert str(spider.ref()) == str(tmp_path / "movies.toml")
    assert list(in_a_worker(spider).stages) == ["detail"]


def test_a_worker_loads_neither_pydantic_nor_a_parser_of_toml(tmp_path: Path) -> None:
    plan = toml_spider(tmp_path, "[detail.fields]\ntitle = 'h1'\n").ref().plan
    code = f"""
import sys
from pinpool.spider.loader import load
from pinpool.spider.spider import SpiderRef
import pinpool.crawler.page_job
print(list(load(SpiderRef(path="movies.toml", plan={plan!r})).stages))
print(sorted({{"pydantic", "tomllib", "click", "rich", "jinja2"}} & set(sys.modules)))
"""

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == "['detail']\n[]\n"
