"""
A list of files through faulty proxies, with a kill -9 of the parent in the middle and a resume.

    python tests/benchmarks/killed_downloads.py [FILES]

Files of 10 kB to 5 MB, twelve proxies: three are flaky (a third of their answers cut, reset or refused), one resets
all, one refuses connections, one is banned after a few files. When half of the files are in place the parent is killed.
After the resume each file must be there once, with the right hash, told of once, and no part may be left.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from commands import LIST, Desk
from crawling import until
from pinpool.lab import Lab

FAULTS = ("flaky", "flaky", "flaky", "reset", "refused", "ban")
SIZES = (10_000, 5_000_000)


def main(files: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="killed-downloads-") as name,
        Lab(pages=1, proxies=12, faults=FAULTS, file_sizes=SIZES) as lab,
    ):
        desk = Desk(Path(name))
        lab.write_proxies(desk / "proxies.txt")
        desk.write("urls.txt", "\n".join(f"{lab.named_url}/file/{number}.pdf" for number in range(1, files + 1)))
        folder, start = desk / "reports", time.monotonic()
        words = ("fetch", "urls.txt", *LIST, "-d", "reports", "-o", "reports.jsonl", "-s", "cooling=2")
        first = desk.start(*words)
        until(lambda: folder.exists() and len(list(folder.glob("*.pdf"))) >= files // 2, "half of the files", 900)
        first.kill()
        killed, halves = time.monotonic() - start, len(list(folder.glob(".pinpool-*/*.part")))
        said = desk.run("resume", "urls.db")
        seconds = time.monotonic() - start
        print(f"{files:,} files: killed after {killed:.0f} s with {halves} half files, complete after {seconds:.0f} s")
        print(f"exit code {said.code}, verify --hashes {desk.run('verify', 'urls.db', '--hashes').code}")
        _report(desk, lab, files, folder)


def _report(desk: Desk, lab: Lab, files: int, folder: Path) -> None:
    wanted = {f"{lab.named_url}/file/{number}.pdf": lab.library.file(number) for number in range(1, files + 1)}
    items = desk.lines("reports.jsonl")
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = sum(item["sha256"] != wanted[item["url"]].sha256 for item in items)
    wrong += sum(found.get(item["path"]) != item["sha256"] for item in items)
    twice = len(items) - len({item["url"] for item in items}) + len(found) - files
    with closing(sqlite3.connect(desk / "urls.db")) as db:
        came, gone_on, failed = db.execute(
            "SELECT sum(size), sum(message LIKE '%gone on with%'), sum(ending = 'failed') FROM attempts"
        ).fetchone()
    size = sum(file.size for file in wanted.values())
    print(f"{len(items):,} items, {len(found):,} files, wrong {wrong}, twice {twice}, direct requests {lab.direct}")
    print(f"{size / 1e6:,.0f} MB of files; {failed} failed attempts; {gone_on} files gone on with after a cut")
    users = max(proxy.max_users for proxy in lab.proxies)
    print(f"{came / 1e6:,.0f} MB came in good attempts; most users of a proxy at once {users}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
