"""The library as a script uses it: `crawl`, `resume` and `Run`, and its names."""

from __future__ import annotations

import time

import pytest

import pinpool
from commands import SPIDER, Desk
from journals import new_journal, task
from pinpool import (
    JournalError,
    ProxyListError,
    SettingsError,
    Spider,
    SpiderError,
)
from pinpool.journal.records import Mark
from pinpool.lab import Lab
from pinpool.output.target import Target
from pinpool.spider.loader import load, parse_ref
from pools import films, listed

CRAWL = """
import json
import pinpool


def main():
    run = pinpool.crawl(spider, proxies={proxies!r}, journal="run.db", {options})
    print(json.dumps({{
        "complete": run.complete,
        "urls": sorted(item["url"] for item in run.items()),
        "proxies": [row["proxy"] for row in run.proxies],
        "failures": [failure["url"] for failure in run.failures()],
        "pages": run.stats["run"]["pages"],
    }}))

"""
GUARDED, UNGUARDED = 'if __name__ == "__main__":\n    main()\n', "main()\n"


def script(lab: Lab, options: str = "", end: str = GUARDED) -> str:
    """A program with a spider of its own that crawls the lab and prints what came of it."""
    spider = SPIDER.format(seeds=f'"{lab.named_url}/page/1", "{lab.named_url}/page/2"')
    return spider + CRAWL.format(proxies=listed(lab), options=options) + end


def test_a_script_crawls_with_its_own_spider_and_reads_the_run(desk: Desk, lab: Lab, method: str) -> None:
    lab.set_site_fault("/detail/3", 418)
    desk.write("films.py", script(lab, f"workers=3, start_method={method!r}"))

    said = desk.start_python("films.py").end()

    failed = f"{lab.named_url}/detail/3"
    assert (said.code, said.err) == (0, "")
    assert said.json() == {
        "complete": False,
        "urls": [url for url in films(lab) if url != failed],
        "proxies": [proxy.label for proxy in lab.proxies],
        "failures": [failed],
        "pages": 21,
    }


def test_a_script_without_the_guard_gets_one_clear_error_and_no_storm(desk: Desk, lab: Lab, method: str) -> None:
    """Each worker imports the script. The first one that starts leaves, and the script gets an error that says why."""
    desk.write("films.py", script(lab, f"start_method={method!r}", end=UNGUARDED))

    said = desk.start_python("films.py").end()

    assert (said.code, said.out) == (1, "")
    assert said.err.count("Traceback") == 1
    assert "must do so under `if __name__ == '__main__':`" in said.err.splitlines()[-1]
    assert lab.requests == []


def test_a_pool_without_the_guard_gets_the_same_error(desk: Desk, lab: Lab, method: str) -> None:
    desk.write(
        "pool.py",
        f"from pinpool import PinnedPool\n"
        f"with PinnedPool({listed(lab)!r}, start_method={method!r}) as pool:\n"
        f"    print(list(pool.map_unordered(abs, range(3))))\n",
    )

    said = desk.start_python("pool.py").end()

    assert (said.code, said.out) == (1, "")
    assert said.err.count("Traceback") == 1
    assert "must do so under `if __name__ == '__main__':`" in said.err.splitlines()[-1]


def test_a_run_of_a_script_is_resumed_by_the_library_and_by_the_command(desk: Desk, lab: Lab) -> None:
    desk.write("films.py", script(lab, "limit=3, outputs=['films.jsonl']"))
    desk.write(
        "further.py",
        f"import pinpool\n"
        f"if __name__ == '__main__':\n"
        f"    run = pinpool.resume('run.db', {listed(lab)!r}, limit=3)\n"
        f"    print(run.complete, run.ended.limited, run.stats['run']['pages'])\n",
    )
    lab.write_proxies(desk / "proxies.txt")

    first = desk.start_python("films.py").end()
    second = desk.start_python("further.py").end()
    third = desk.run("resume", "run.db", "-p", "proxies.txt")

    assert (first.json()["complete"], first.json()["pages"]) == (False, 3)
    assert (second.out, second.err) == ("False True 6\n", "")
    assert third.code == 0
    assert sorted(item["url"] for item in desk.lines("films.jsonl")) == films(lab)
    assert len(lab.requests) == 22


def test_a_script_can_catch_that_no_proxy_is_usable(desk: Desk, lab: Lab) -> None:
    for proxy in lab.proxies:
        lab.set_fault(proxy.index, "auth")
    text = script(lab, end='if __name__ == "__main__":\n    try:\n        main()\n')
    desk.write("films.py", f"{text}    except pinpool.NoUsableProxy as error:\n        print(error)\n")

    said = desk.start_python("films.py").end()

    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("no page was ever fetched: all 4 proxies refuse the login\n")
    assert desk.run("stats", "run.db", "--json").json()["run"]["state"] == "starved"


def test_what_is_wrong_is_raised_before_anything_is_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.setitem(globals(), "spider", spider := Spider(seeds=["http://movies.test/"], name="films"))
    hidden = Spider(seeds=["http://movies.test/"])
    proxies = ["192.0.2.1:8080"]

    with pytest.raises(SpiderError, match="the spider has no stage"):
        pinpool.crawl(spider, proxies)
    spider.index(lambda page: None)
    hidden.index(lambda page: None)
    with pytest.raises(SpiderError, match="cannot find this spider"):
        pinpool.crawl(hidden, proxies)
    with pytest.raises(SettingsError, match="pacee: no such setting"):
        pinpool.crawl(spider, proxies, pacee=1)
    with pytest.raises(SettingsError, match="its format is not known"):
        pinpool.crawl(spider, proxies, outputs=["films.jsonl", "films.xml"])
    with pytest.raises(SpiderError, match="must start with http"):
        pinpool.crawl(spider, proxies, seeds=["movies.test"], outputs=["films.jsonl"])
    with pytest.raises(ProxyListError, match="proxies:2: the port"):
        pinpool.crawl(spider, [*proxies, "192.0.2.2:0"])
    with pytest.raises(ProxyListError, match="the list is empty"):
        pinpool.crawl(spider, [])
    with pytest.raises(JournalError, match="no such journal"):
        pinpool.resume("films.db", proxies)

    assert list(desk.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "what"),
    [("run.db", "the journal"), ("proxies.txt", "the list of proxies"), ("films.py", "the spider")],
)
def test_an_output_that_would_destroy_what_the_run_lives_on_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.write("films.py", SPIDER.format(seeds='"http://movies.test/page/1"'))
    desk.write("proxies.txt", "192.0.2.1:8080\n")
    monkeypatch.setenv("PINPOOL_PROXIES", "proxies.txt")
    there = name != "run.db" and (desk / name).read_text()
    refused = f"output {name}: is {what}: name another file"

    for proxies in ("proxies.txt", None):
        for overwrite in (False, True):
            output = Target(name, "csv", overwrite)
            with pytest.raises(SettingsError, match=refused):
                pinpool.crawl(load(parse_ref("films.py")), proxies, journal="run.db", outputs=[output])

    assert not (desk / "run.db").exists()
    assert not there or (desk / name).read_text() == there


def test_a_resume_checks_all_outputs_before_the_run_is_marked_running(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.write("movies.py", SPIDER.format(seeds='"http://movies.test/page/1"'))
    with new_journal(desk / "run.db", task("1", "index")) as journal:
        journal.output(Mark(str(desk / "gone" / "items.jsonl"), "jsonl", 0, 0, 0))
        journal.finish("interrupted", time.time())

    with pytest.raises(SettingsError, match=r"gone/items\.jsonl: cannot be written .* name another file with -o"):
        pinpool.resume("run.db", ["192.0.2.1:8080"])
    with pytest.raises(SettingsError, match=r"output run\.db: is the journal: name another file"):
        pinpool.resume("run.db", ["192.0.2.1:8080"], outputs=["run.db:csv"])

    assert pinpool.Run(desk / "run.db").stats["run"]["state"] == "interrupted"


def test_all_public_names_are_there() -> None:
    assert [name for name in pinpool.__all__ if not hasattr(pinpool, name)] == []
    assert dir(pinpool) == sorted(pinpool.__all__)
    with pytest.raises(AttributeError, match="'pinpool' has no attribute 'crawll'"):
        _ = pinpool.crawll
