"""The practice site's files, judged by a client of another author."""

from __future__ import annotations

import hashlib

import pytest

import labs
from labs import EVERY_KIND, HTTP, client
from pinpool.lab import Lab

lab = labs.lab  # pytest finds a fixture by the module's own names


@EVERY_KIND
@pytest.mark.parametrize("way", ["", "?chunked", "?endless", "?gzip", "?norange", "?noetag"])
def test_a_file_is_the_same_however_it_is_sent(lab: Lab, index: int, way: str) -> None:
    expected = lab.library.file(3)

    with client(lab.proxies[index]) as web:
        answer = web.request("GET", f"{lab.named_url}{expected.path}{way}")

    assert (len(answer.data), hashlib.sha256(answer.data).hexdigest()) == (expected.size, expected.sha256)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.data.startswith(b"%PDF-")


def test_a_part_of_a_file_can_be_asked_for(lab: Lab) -> None:
    expected = lab.library.file(3)
    with client(lab.proxies[HTTP]) as web:
        url = lab.named_url + expected.path
        whole = web.request("GET", url)
        rest = web.request("GET", url, headers={"Range": "bytes=5000-", "If-Range": whole.headers["ETag"]})
        other = web.request("GET", url, headers={"Range": "bytes=5000-", "If-Range": '"other"'})
        beyond = web.request("GET", url, headers={"Range": "bytes=99999999-"})

    assert (rest.status, other.status, beyond.status) == (206, 200, 416)
    assert rest.data == whole.data[5000:]
    assert rest.headers["Content-Range"] == f"bytes 5000-{expected.size - 1}/{expected.size}"


def test_sizes_lie_between_the_smallest_and_the_largest_and_follow_the_seed() -> None:
    small, again = (Lab(pages=1, file_sizes=(1000, 2000)).library for _ in range(2))
    sizes = {small.file(number).size for number in range(1, 50)}

    assert min(sizes) >= 1000 and max(sizes) <= 2000 and len(sizes) > 30
    assert small.file(7) == again.file(7)


def test_a_file_that_changes_is_another_one_each_time(lab: Lab) -> None:
    with client(lab.proxies[HTTP]) as web:
        first, second = (web.request("GET", f"{lab.named_url}/file/1.bin?changing") for _ in range(2))

    assert first.data != second.data
    assert first.headers["ETag"] != second.headers["ETag"]


def test_unknown_files_are_not_there(lab: Lab) -> None:
    with client(lab.proxies[HTTP]) as web:
        for path in ("/file/", "/file/0.pdf", "/file/1.exe", "/file/01.pdf", "/file/x.pdf", "/files/0"):
            assert web.request("GET", lab.named_url + path).status == 404
