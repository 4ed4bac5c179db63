"""`pinpool new` as a user starts it: a spider that runs as it is, and nothing overwritten."""

from __future__ import annotations

import json
import os

import pytest

from commands import Desk
from pinpool.lab import Lab


def test_what_is_written_runs_against_the_lab_by_the_commands_that_are_shown(desk: Desk) -> None:
    with Lab(pages=10, proxies=4) as lab:
        for ending, option in ((".py", "--python"), (".toml", "--toml")):
            said = desk.run("new", f"films{ending[1:]}", option)
            file = desk / f"films{ending[1:]}{ending}"
            assert (said.code, said.err) == (0, "")
            assert f"pinpool crawl {file.name} -p proxies.txt" in said.out
            # The lab of a test has no fixed port.
            file.write_text(file.read_text().replace("http://movies.test:8000", lab.named_url))
            commands = [line.split() for line in said.out.splitlines() if line.startswith("    pinpool ")]
            assert commands[0] == ["pinpool", "lab", "--write-proxies", "proxies.txt"]
            lab.write_proxies(desk / "proxies.txt")

            tried, crawled = (desk.run(*words[1:]) for words in commands[1:])

            assert (tried.code, crawled.code) == (0, 0), tried.err + crawled.err
            items = {item["url"]: item for item in desk.lines(f"{file.stem}.jsonl")}
            films = lab.films(lab.named_url)
            assert {url: item["title"] for url, item in items.items()} == {
                url: film.title for url, film in films.items()
            }
            assert {float(item["score"]) for item in items.values()} == {float(film.score) for film in films.values()}


def test_a_list_for_proxies_is_written_once_and_says_what_to_put_in(desk: Desk) -> None:
    desk.run("new", "films.toml")

    text = (desk / "proxies.txt").read_text()
    refused = desk.run("crawl", "films.toml", "-p", "proxies.txt")

    assert text.startswith("# Your proxies, one a line")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "the list is empty" in refused.err


def test_a_list_of_the_users_own_is_left_alone_and_the_practice_proxies_go_elsewhere(desk: Desk) -> None:
    desk.write("proxies.txt", "http://alice:hunter2@192.0.2.1:8080\n")

    said = desk.run("new", "films")

    assert (desk / "proxies.txt").read_text() == "http://alice:hunter2@192.0.2.1:8080\n"
    assert "proxies.txt: stays as it is" in said.out
    assert "pinpool lab --write-proxies practice-proxies.txt" in said.out


def test_nothing_is_overwritten_not_even_through_a_link(desk: Desk) -> None:
    desk.write("films.py", "mine")
    (desk / "link.toml").symlink_to(desk / "not-there")

    there, link = desk.run("new", "films.py"), desk.run("new", "link", "--toml")

    assert (there.code, link.code) == (2, 2)
    assert "films.py is there already: choose another name" in there.err
    assert (desk / "films.py").read_text() == "mine"
    assert sorted(path.name for path in desk.folder.iterdir()) == ["films.py", "link.toml"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../films", "is not a name"),
        ("/films", "is not a name"),
        ("..", "is not a name"),
        (".hidden", "is not a name"),
        ("-films", ""),
        ("", "is not a name"),
        ("a/b.toml", "is not a name"),
        ("a\nb", "is not a name"),
        ("fil ms", "is not a name"),
        ("x" * 65, "is not a name"),
        ("films.txt", "is not a name"),
        ("json", "Python may take json.py for the module json: choose another, for example json_spider"),
    ],
)
def test_a_name_that_leaves_the_folder_or_hides_a_module_is_refused(desk: Desk, name: str, said: str) -> None:
    code, out, err = desk.run("new", name)

    assert (code, out) == (2, "")
    assert said in err
    assert list(desk.folder.iterdir()) == []


def test_another_example_may_be_copied_if_it_is_there(desk: Desk) -> None:
    copied = desk.run("new", "catalogue", "--from", "movies", "--toml")
    unknown = desk.run("new", "other", "--from", "moovies")
    both = desk.run("new", "other.py", "--toml")

    assert copied.code == 0
    assert "pinpool lab" not in copied.out  # it is for a site of its own
    assert "pinpool lab --write-proxies" in desk.run("new", "shop", "--toml", "--from", "shop").out
    assert "ssr1.scrape.center" in (desk / "catalogue.toml").read_text()
    assert unknown.code == 2
    assert "no example 'moovies'; there are films_api, movies, " in unknown.err
    assert (both.code, (desk / "other.py").exists()) == (2, False)


def test_the_schema_is_for_editors_and_writes_nothing(desk: Desk) -> None:
    code, out, err = desk.run("new", "--schema")

    schema = json.loads(out)
    assert (code, err) == (0, "")
    assert {"seeds", "index", "detail", "stages", "ban", "settings"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert list(desk.folder.iterdir()) == []
    assert desk.run("new", "films", "--schema").code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(desk: Desk) -> None:
    desk.folder.chmod(0o500)

    code, _, err = desk.run("new", "films")

    assert (code, err) == (2, "films.py: cannot be written (Permission denied): go to a folder of your own\n")
