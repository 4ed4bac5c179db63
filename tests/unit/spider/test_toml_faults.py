"""What is wrong with a TOML spider: all at once, each with file, line and key, and never a traceback."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pinpool.errors import SpiderError
from pinpool.spider.loader import load, parse_ref
from toml_spiders import faults_in, toml_spider

WELL = """
    seeds = ["http://site.example/{1..2}"]

    [index]
    details = "a::attr(href)"

    [detail.fields]
    title = "h1::text"
"""


def test_all_faults_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    faults = faults_in(
        tmp_path,
        """
        seeds = ["http://site.example/"]
        header = { A = "b" }

        [index]
        detials = "a::attr(href)"
        more = "//a["

        [detail.fields]
        title = { frist = "h1" }
        year = { first = "p", number = "x", default = 0, required = true }
        tags = { all = "li", joined = 3 }

        [settings]
        pase = 1
        attempts = 0
        """,
    )

    assert faults == [
        "2: header: no such key; did you mean headers?",
        "5: index.detials: no such key; did you mean details?",
        "6: index.more: '//a[' is not an XPath selector: Invalid expression",
        "9: detail.fields.title.frist: no such key; did you mean first?",
        "9: detail.fields.title: has no source: give it one of first, all, rows, data, value",
        '10: detail.fields.year.number: is true, or the mark before the decimals: "." or ","',
        "10: detail.fields.year.required: means nothing beside default, which always gives a value",
        "11: detail.fields.tags.joined: is a number, not a text in quotes",
        "14: settings.pase: no such setting; did you mean pace?",
        "15: settings.attempts: 0 is not from 1 to 1000",
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a = = 1", "1: not TOML: invalid value (column 5)"),
        ("# a\n\n[index", "3: not TOML: expected ']' at the end of a table declaration (at the end of the file)"),
        ('# a\na = "', "2: not TOML: "),
        ("a = 1\na = 2", "2: not TOML: cannot overwrite a value"),
        ("a = " + "[" * 5000, "not TOML: its lists or tables are nested too deep"),
        ("a = " + "9" * 5000, "not TOML: "),
    ],
    ids=["value", "table", "text", "twice", "deep", "long"],
)
def test_broken_toml_is_one_fault_with_its_line_and_the_reason(tmp_path: Path, line: str, fault: str) -> None:
    (reported,) = faults_in(tmp_path, line)

    assert reported.startswith(fault)


def test_a_file_that_is_not_utf_8_says_where(tmp_path: Path) -> None:
    path = tmp_path / "movies.toml"
    path.write_bytes(b"# fine\nname = '\xff'\n")

    with pytest.raises(SpiderError, match=r"movies\.toml:2: not UTF-8 from here on"):
        load(parse_ref(str(path)))


@pytest.mark.parametrize(
    ("name", "problem"),
    [("absent.toml", "absent.toml: no such file"), ("folder.toml", "is a folder"), ("a.toml:films", "is one spider")],
)
def test_a_file_that_cannot_be_a_spider_says_why(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "folder.toml").mkdir()

    with pytest.raises(SpiderError, match=problem):
        load(parse_ref(str(tmp_path / name)))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", "there is no stage: write [index]"),
        ("details", "more", "6: detail: nobody leads to this stage"),
        ('details = "a::attr(href)"', "json = 1", "4: index.json: is a number, not true or false"),
        ('details = "a::attr(href)"', "json = true", "3: index: yields nothing"),
        ('details = "a::attr(href)"', "details = 5", "4: index.details: is a number, not a table"),
        ('details = "a::attr(href)"', "details = { rows = 'li' }", "4: index.details: needs find"),
        ('details = "a::attr(href)"', "details = ''", "4: index.details: is empty"),
        ("[index]", "[indx]", "3: indx: no such key; did you mean index?"),
        ("[index]", "[films]", "3: films: no such key; a stage of your own is written [stages.NAME]"),
        ("[index]", "[stages.detail]", "3: stages.detail: write [detail], without stages in front"),
        ("[index]", "[stages.'a b']", "3: stages.'a b': is not a stage name"),
        ("[index]", "[index]\nlinks.reviws = 'a'", "leads to the stage reviws, which the file does not have"),
        ("[index]", "[index]\nrows = 'li'", "4: index.rows: needs fields: write [index.fields]"),
        ("[index]", "[index]\nlinks = 'a'", "4: index.links: is a text, not a table"),
        ("[detail.fields]", "[detail.fields]\nu.first = '//p['", "7: detail.fields.u.first: '//p[' is not an XPath"),
        ("h1::text", "h1::txt", "7: detail.fields.title: 'h1::txt' is not a CSS selector"),
        ('"h1::text"', "{ first = 'p', regex = '(' }", "7: detail.fields.title.regex: '(' is not a regular expression"),
        ('"h1::text"', "{ first = 'p', date = 'day' }", "7: detail.fields.title.date: 'day' is not a format"),
        ('"h1::text"', "{ first = 'p', all = 'p' }", "7: detail.fields.title: has first and all: give it one of"),
        ('"h1::text"', "{ first = 'p', joined = ',' }", "7: detail.fields.title.joined: goes with all, not with first"),
        ('"h1::text"', "{ value = 'x' }", "6: detail.fields: no field looks at the page"),
        ('"h1::text"', "{ rows = 'p' }", "7: detail.fields.title: rows and fields go together"),
        ('"h1::text"', "{ first = 'p', value = 1979-05-27 }", "7: detail.fields.title.value: holds a date"),
        ('"h1::text"', "{ first = 'p', default = nan }", "7: detail.fields.title.default: holds nan or inf"),
        ('"h1::text"', "'p'\nfilm = { data = 'film' }", "8: detail.fields.film.data: nobody hands on 'film'; no link"),
        ('"h1::text"', "1979-05-27", "7: detail.fields.title: is a date, not a table"),
        ("[index]", "[ban]\ntext = ''\n[index]", "4: ban.text: an empty text would be found in every page"),
        ("[index]", "[ban]\nstatus = [99]\n[index]", "4: ban.status: 99 is not from 100 to 599"),
        ("[index]", "[ban]\nselector = '//p['\n[index]", "4: ban.selector: '//p[' is not an XPath"),
        ("[index]", "[ban]\ntexts = 'x'\n[index]", "4: ban.texts: no such key; did you mean text?"),
        ("[index]", "[headers]\n'a b' = 'x'\n[index]", "4: headers.'a b': 'a b' is not a header name"),
        ("[index]", "[headers]\nA = 1\n[index]", "4: headers.A: is a number, not a text in quotes"),
        (
            "[index]",
            "[ban]\ntext = 'a'\n[settings]\nban_text = 'a'\n[index]",
            "6: settings.ban_text: stands in ban.text",
        ),
        ("seeds", "name = 'a/b'\nseeds", "1: name: 'a/b' cannot be used as a file name"),
        ("seeds", "name = 5\nseeds", "1: name: is a number, not a text in quotes"),
        ('["http://site.example/{1..2}"]', "5", "1: seeds: is a number, not a table"),
        ('["http://site.example/{1..2}"]', "{ stage = 'index' }", "1: seeds: a seed is a url or a file: give it one"),
        ('["http://site.example/{1..2}"]', "{ file = 'a', data = {} }", "1: seeds.data: goes with url, not with file"),
        (
            '"http://site.example/{1..2}"',
            "{ url = 'http://a.example', stage = 'x' }",
            "1: seeds[1].stage: the file has no",
        ),
        (
            '"http://site.example/{1..2}"',
            "{ url = 'http://a', method = 'PUSH' }",
            "1: seeds[1].method: 'PUSH' is not one",
        ),
        (
            '"http://site.example/{1..2}"',
            "{ url = 'http://a', form = {}, json = {} }",
            "1: seeds[1].json: a request sends",
        ),
    ],
)
def test_every_mistake_has_a_message_with_its_line_and_its_key(tmp_path: Path, old: str, new: str, fault: str) -> None:
    text = dedent(WELL).lstrip("\n").replace(old, new, 1) if old else ""

    faults = faults_in(tmp_path, text)

    assert any(fault in one for one in faults), faults


def test_a_misspelt_key_is_not_reported_twice_as_a_link_that_is_missing(tmp_path: Path) -> None:
    assert faults_in(tmp_path, "[index]\ndetials = 'a'\n[detail.fields]\ntitle = 'h1'\n") == [
        "2: index.detials: no such key; did you mean details?"
    ]


def test_a_query_that_does_not_compile_or_calls_what_jmespath_lacks_is_a_fault(tmp_path: Path) -> None:
    faults = faults_in(
        tmp_path,
        """
        seeds = "http://site.example/"
        [index]
        json = true
        rows = "films["
        [index.fields]
        title = "upper(title)"
        year = { first = "year", attribute = "href" }
        """,
    )

    assert faults[0].startswith("4: index.rows: 'films[' is not a JMESPath query: ")
    assert faults[1] == "6: index.fields.title: 'upper(title)' uses upper(), which is not a function of JMESPath"
    assert faults[2].startswith("7: index.fields.year.attribute: JSON has no attributes")


@pytest.mark.parametrize(
    ("seeds", "fault"),
    [
        ("['page/1']", "1: seeds[1]: 'page/1' cannot be requested: it must start with http:// or https://"),
        ("['http://a.example/{9..1}']", "1: seeds[1]: {9..1} runs backwards: write the smaller number first"),
        ("'http://a.example/{1..999999999}'", "1: seeds: {1..999999999} makes more than 10,000,000 seeds"),
        ("'http://a.example/{1..9999}{1..9999}'", "1: seeds: its ranges make more than 10,000,000 seeds"),
        ("[]", "there are no seeds: write seeds = ["),
        ("{ file = 'absent.txt' }", "absent.txt cannot be read: No such file"),
        (
            "{ url = 'http://a.example', headers = { 'a b' = 'x' } }",
            "1: seeds.headers.'a b': 'a b' is not a header name",
        ),
    ],
)
def test_seeds_that_cannot_be_requested_are_faults(tmp_path: Path, seeds: str, fault: str) -> None:
    faults = faults_in(tmp_path, f"seeds = {seeds}\n[index]\nmore = 'a'\n", seeds=True)

    assert any(fault in one for one in faults), faults


def test_the_seeds_are_only_made_when_they_are_asked_for(tmp_path: Path) -> None:
    spider = toml_spider(tmp_path, "seeds = { file = 'absent.txt' }\n[index]\nmore = 'a'\n")

    with pytest.raises(SpiderError, match=r"absent\.txt cannot be read"):
        spider.check()


def test_a_fault_never_shows_what_a_variable_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIES_TOKEN", "hunter2\n")

    faults = faults_in(tmp_path, "seeds = 'http://a.example'\nheaders.A = '${MOVIES_TOKEN}'\n[index]\nmore = 'a'\n")

    assert faults == ["2: headers.A: the value of A contains line breaks or characters beyond Latin-1"]


def test_keys_and_values_of_strangers_do_not_control_the_terminal(tmp_path: Path) -> None:
    faults = faults_in(tmp_path, '"\\u001b[31m" = 1\n[index]\nmore = "a\\u001b[0m::x"\n')

    assert not any("\x1b" in fault for fault in faults)
