"""`pinpool try` on pages in files, its selectors, and what it says of the spider: in process, and without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import responses
from click.testing import CliRunner, Result

from pinpool.cli.app import app
from pinpool.errors import PinpoolError

SPIDER = """\
from pinpool import Page, Spider

spider = Spider(seeds=["http://movies.test/page/1"])


@spider.index
def films(page: Page):
    yield from page.details("a.film", source=page.url)
    yield from page.more("a.next")


@spider.detail
def film(page: Page):
    return {"url": page.url, "title": page.first("h1"), "stars": page.all("li.star")}


@spider.stage("reviews")
def reviews(page: Page):
    for row in page.select("p.review"):
        yield {"text": row.text, "film": page.data["film"]}
"""
LIST = """<a class="film" href="/film/up">Up</a><a class="film" href="/film/up">again</a>
<a class="next" href="#">1</a><a class="next" href="#">2</a><a class="next" href="javascript:go(2)">3</a>"""
FILM = '<meta charset="utf-8"><h1>Amélie</h1><p class="note">  a \n note </p>'

Try = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PINPOOL_PROXIES", raising=False)
    (tmp_path / "films.py").write_text(SPIDER, encoding="utf-8")
    (tmp_path / "list.html").write_text(LIST, encoding="utf-8")
    (tmp_path / "film.html").write_text(FILM, encoding="utf-8")
    return tmp_path


@pytest.fixture
def attempt(folder: Path) -> Iterator[Try]:
    """Runs `pinpool try films.py` with more words. Nothing may go out but what a test answers itself."""
    with responses.RequestsMock(assert_all_requests_are_fired=False):
        yield lambda *words: CliRunner().invoke(app, ["try", "films.py", *map(str, words)])


def problems(result: Result) -> list[str]:
    assert isinstance(result.exception, PinpoolError), result.output
    return str(result.exception).splitlines()


def test_a_page_in_a_file_is_read_by_the_first_stage_that_can(attempt: Try) -> None:
    listed, film = attempt("--file", "list.html"), attempt("--file", "film.html")

    assert (listed.exit_code, film.exit_code) == (0, 0)
    assert "200 http://movies.test/page/1: " in listed.stdout
    assert "\nstage index: the first that makes something of the page (--stage takes another)\n" in listed.stdout
    assert "\nstage detail: the first that makes something of the page" in film.stdout
    assert '"title": "Amélie"' in film.stdout


def test_links_that_are_left_out_and_tasks_that_are_the_same_are_told(attempt: Try) -> None:
    shown = attempt("--file", "list.html")

    line = 'detail: GET http://movies.test/film/up, data {"source": "http://movies.test/page/1"}'
    assert shown.stdout.count(line) == 2
    assert shown.stdout.endswith("0 items, 2 tasks, 3 links left out\n")
    assert shown.stderr.splitlines() == [
        "left out: '#' leads to a place on the same page (2 times)",
        "left out: 'javascript:go(2)' cannot be requested: it must start with http:// or https://",
        "1 task the same as another: a crawl asks for each page once",
    ]


def test_the_fields_that_were_found_and_those_that_were_not_are_named(attempt: Try) -> None:
    shown = attempt("http://movies.test/film/amelie", "--file", "film.html", "--stage", "detail")

    assert "\nstage detail\n" in shown.stdout
    assert "\nfound: url, title\n" in shown.stdout
    assert shown.stderr == "not found: stars; --select and --shell help to find a selector\n"


def test_of_many_items_the_first_are_shown(attempt: Try, folder: Path) -> None:
    page = "<p class=review>good</p>" * 7 + "<p class=review></p>" * 2
    (folder / "reviews.html").write_text(page, encoding="utf-8")

    shown = attempt("--file", "reviews.html", "--stage", "reviews", "--data", '{"film": "Up"}')

    assert shown.exit_code == 0
    assert shown.stdout.count('"film": "Up"') == 5
    assert "... and 4 more items\nfound: text (7 of 9), film\n" in shown.stdout
    assert shown.stdout.endswith("9 items, 0 tasks\n")


def test_an_error_of_the_spider_is_shown_by_its_own_lines(attempt: Try, folder: Path) -> None:
    (folder / "reviews.html").write_text("<p class=review>good</p>", encoding="utf-8")

    shown = attempt("--file", "reviews.html", "--stage", "reviews")

    assert shown.exit_code == 3
    assert shown.stderr.splitlines() == [
        "extract: KeyError: 'film' (films.py:20)",
        "  films.py:20, in reviews",
        '    yield {"text": row.text, "film": page.data["film"]}',
        "page.data is what the page before hands on: give it, --data '{\"film\": ...}'",
    ]


@responses.activate
def test_a_wrong_guess_of_the_stage_shows_which_other_one_would_do(folder: Path) -> None:
    responses.get("http://movies.test/page/7", body=FILM, content_type="text/html")

    shown = CliRunner().invoke(app, ["try", "films.py", "http://movies.test/page/7", "--direct"])

    assert shown.exit_code == 3
    assert "stage index: like the seed 'http://movies.test/page/1' (--stage takes another)" in shown.stdout
    assert shown.stderr.splitlines() == [
        "nothing extracted: a crawl would try this page through other proxies, too",
        "stage detail would make 1 item and 0 tasks of this page: add --stage detail",
    ]


@responses.activate
def test_a_form_is_posted_and_data_is_handed_on(folder: Path) -> None:
    responses.post("http://movies.test/find", body="<p class=review>good</p>", content_type="text/html")

    url, data = "http://movies.test/find", '{"film": "Up"}'
    words = [url, "--direct", "--stage", "reviews", "--form", "q=a=b", "--form", "page=2", "--data", data]
    shown = CliRunner().invoke(app, ["try", "films.py", *words])

    assert shown.exit_code == 0, shown.output
    assert responses.calls[0].request.body in (b"q=a%3Db&page=2", "q=a%3Db&page=2")


# Selectors


def test_a_selector_shows_how_many_it_finds_and_the_first_ones(attempt: Try) -> None:
    shown = attempt("--file", "list.html", "--select", "a.film", "--select", "//a/@href", "--stage", "index")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[2:] == [
        "a.film: 2 matches",
        '  <a class="film" href="/film/up"> Up',
        '  <a class="film" href="/film/up"> again',
        "//a/@href: 5 matches",
        "  /film/up",
        "  /film/up",
        "  #",
        "  #",
        "  javascript:go(2)",
    ]


def test_a_selector_that_finds_nothing_is_exit_3_and_that_of_json_gets_a_hint(attempt: Try, folder: Path) -> None:
    (folder / "films.json").write_text('{"films": []}', encoding="utf-8")

    nothing = attempt("--file", "film.html", "--select", "h2")

    assert (nothing.exit_code, nothing.stdout.splitlines()[-1]) == (3, "h2: no match")


@responses.activate
def test_a_page_of_json_says_that_selectors_are_not_for_it(folder: Path) -> None:
    responses.get("http://movies.test/page/1", json={"films": []})

    shown = CliRunner().invoke(app, ["try", "films.py", "--direct", "--select", "//a"])

    assert shown.exit_code == 3
    assert "the page is JSON, and selectors read HTML and XML: look at page.json() with --shell" in shown.stderr


def test_selectors_also_look_at_a_page_on_which_the_spider_fails(attempt: Try, folder: Path) -> None:
    (folder / "reviews.html").write_text("<p class=review>good</p>", encoding="utf-8")

    shown = attempt("--file", "reviews.html", "--stage", "reviews", "--select", "p")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.endswith('p: 1 match\n  <p class="review"> good\n')


# Saving


@responses.activate
def test_a_saved_page_is_tried_again_without_a_network(folder: Path) -> None:
    responses.get("http://movies.test/film/up", body=FILM.encode(), content_type="text/html")
    run = CliRunner().invoke

    saved = run(app, ["try", "films.py", "http://movies.test/film/up", "--direct", "--save", "up.html"])
    again = run(app, ["try", "films.py", "http://movies.test/film/up", "--file", "up.html"])
    over = run(app, ["try", "films.py", "http://movies.test/film/up", "--direct", "--save", "up.html"])

    assert (saved.exit_code, again.exit_code) == (0, 0)
    assert f"saved up.html: {len(FILM.encode())} bytes\n" in saved.stderr
    assert (folder / "up.html").read_bytes() == FILM.encode()
    assert again.stdout[again.stdout.index("{") :] == saved.stdout[saved.stdout.index("{") :]
    assert problems(over) == ["--save up.html: is there already: move it away, or name another file"]
    assert len(responses.calls) == 1


# Bad input


def test_all_faults_of_the_options_and_of_the_spider_are_told_at_once(attempt: Try, folder: Path) -> None:
    (folder / "films.py").write_text("from pinpool import Spider\n\nspider = Spider(seeds=[])\n", encoding="utf-8")
    wrong = ["--form", "q", "--form", "=x", "--data", "{year: 1}", "--select", "a[", "--select", "//a[", "--shell"]

    told = problems(attempt("http://x.test/", "--direct", *wrong, "--save", "film.html"))

    assert [line.partition(": ")[0] for line in told] == [
        "--form",
        "--form",
        "--data",
        "--select",
        "--select",
        "--save film.html",
        "--shell needs a terminal, for input and output",
        "films.py:3",
    ]
    assert told[0] == "--form: 'q' is not K=V"
    assert "it is not JSON" in told[2]
    assert "'a[' is not a CSS selector" in told[3]
    assert "'//a[' is not an XPath selector" in told[4]


@pytest.mark.parametrize("data", ["[1]", "7", '"year"'])
def test_data_that_is_no_object_is_refused(attempt: Try, data: str) -> None:
    (told,) = problems(attempt("--file", "film.html", "--data", data))

    assert "write an object, as '{\"year\": 1979}'" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--file", "film.html", "--direct"], "--file fetches nothing: leave -p, --direct and URL out"),
        (["--file", "film.html", "--form", "a=b"], "--file fetches nothing: leave --form out"),
        (["--file", "film.html", "--page", "x.db:1"], "--page fetches nothing"),
        (["http://x.test/", "--page", "x.db:1"], "--page fetches nothing"),
    ],
)
def test_options_that_exclude_each_other_are_refused(attempt: Try, words: list[str], said: str) -> None:
    shown = attempt(*words)

    assert shown.exit_code == 2
    assert said in shown.stderr


def test_a_url_that_cannot_be_requested_is_refused_without_a_traceback(attempt: Try) -> None:
    (told,) = problems(attempt("ftp://movies.test/", "--direct"))

    assert told == "'ftp://movies.test/' cannot be requested: it must start with http:// or https://"


def test_letters_that_a_terminal_lacks_are_escaped(folder: Path) -> None:
    (folder / "film.html").write_text("<meta charset=utf-8><h1>Amélie 霸王</h1>", encoding="utf-8")
    runner = CliRunner(charset="latin-1")

    shown = runner.invoke(app, ["try", "films.py", "--file", "film.html", "--stage", "detail"])

    assert shown.exit_code == 0, shown.output
    assert '"title": "Amélie \\u9738\\u738b"' in shown.stdout
