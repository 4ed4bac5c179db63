from __future__ import annotations

from pinpool.model import Fault
from pinpool.stats.snapshot import FaultCount, Snapshot, Throughput
from pinpool.terminal.status import Tone, status_line, status_rows, why_it_waits
from pinpool.text import local_time
from snapshots import snapshot

EPOCH = 1_700_000_000.0
WAKES = local_time(EPOCH + 90)


def rows(shown: Snapshot) -> list[str]:
    throughput = Throughput(0.0)
    throughput.add(0.0, 0, 5)
    throughput.add(10.0, 100, 45)
    found = status_rows(shown, throughput, began=0.0, now=10.0, epoch=EPOCH)
    return [row.heading + row.text for row in found]


def test_the_rows_say_how_the_run_is_doing() -> None:
    assert rows(snapshot((Fault.TIMEOUT, "no answer"), (Fault.TIMEOUT, "no answer"))) == [
        "pages    11 of 1,022 (1%), 10 items, 1 given up",
        "speed    10.0 pages/s, 4.0 items/s, about 1 min 40 s left, running for 10 s",
        "workers  1 fetching, 1 pacing, 1 waiting for a proxy, 1 idle",
        "proxies  1 pinned, 0 spare, 1 retired",
        "faults   timeout 2 times, 3 s ago: no answer",
    ]


def test_the_line_says_how_the_run_is_doing() -> None:
    assert status_line(snapshot(), Throughput(0.0), EPOCH) == (
        "11/1022 pages, 10 items, 0.0 pages/s, 0.0 items/s, 1 fetching, 1 waiting for a proxy, "
        "1 proxy usable, 0 resting, 1 out, 1 failed, last fault timeout: no answer"
    )


def test_while_pages_are_still_found_there_is_a_queue_and_no_share_of_all() -> None:
    growing = snapshot()._replace(finds_more=lambda: True)

    assert rows(growing)[:2] == [
        "pages    11 done, 1,010 queued, 10 items, 1 given up",
        "speed    10.0 pages/s, 4.0 items/s, at least 1 min 40 s left, running for 10 s",
    ]
    assert status_line(growing, Throughput(0.0), EPOCH).startswith("11 pages done, 1010 queued, 10 items, ")


def test_what_waits_and_what_is_out_has_a_tone() -> None:
    throughput = Throughput(0.0)
    resting = snapshot(resting=True)
    shown = status_rows(resting, throughput, began=0.0, now=10.0, epoch=EPOCH)

    tones = {text: tone for row in shown for text, tone in row.parts if tone}

    assert tones == {
        "1 given up": Tone.OUT,
        "1 waiting for a proxy": Tone.WAITING,
        "1 resting (next wakes in 1 min 30 s)": Tone.WAITING,
        "1 retired": Tone.OUT,
        f"all proxies rest, next try {WAKES}": Tone.WAITING,
    }


def test_a_run_that_waits_says_why_and_until_when() -> None:
    waits = f"1 of 2 proxies failed (banned 403), next try {WAKES}"
    resting = snapshot(resting=True)._replace(trouble=lambda: "1 of 2 proxies failed (banned 403)")

    assert f"waits    {waits}" in rows(resting)
    assert f"waits: {waits}" in status_line(resting, Throughput(0.0), EPOCH)[:79]  # as much as a narrow terminal shows


def test_a_run_whose_proxies_rest_since_an_earlier_start_says_until_when() -> None:
    waits = f"all proxies rest, next try {WAKES}"

    assert f"waits    {waits}" in rows(snapshot(resting=True))
    assert "proxies  0 pinned, 0 spare, 1 resting (next wakes in 1 min 30 s), 1 retired" in rows(snapshot(resting=True))
    line = status_line(snapshot(resting=True), Throughput(0.0), EPOCH)
    assert waits in line[:79]
    assert line.endswith("0 proxies usable, 1 resting, 1 out, 1 failed")


def test_while_some_proxies_work_the_trouble_of_the_others_is_named() -> None:
    troubled = snapshot()._replace(trouble=lambda: "9 of 10 proxies failed (banned 403)")

    assert "failing  9 of 10 proxies failed (banned 403)" in rows(troubled)
    assert status_line(troubled, Throughput(0.0), EPOCH).endswith("1 failed, 9 of 10 proxies failed (banned 403)")


def test_the_end_of_a_run_names_the_page_that_it_waits_for() -> None:
    last = "last page: /detail/7 through user5@192.0.2.7:8080, 24 s, limit 45 s"
    ending = snapshot()._replace(last_pages=lambda: last)

    assert f"waits    for the {last}" in rows(ending)
    assert status_line(ending, Throughput(0.0), EPOCH).startswith(f"11/1022 pages, {last}, ")


def test_a_pause_of_the_whole_run_is_given_in_its_own_words() -> None:
    assert "waits    the site seems down until 12:00" in rows(
        snapshot()._replace(waiting="the site seems down until 12:00")
    )


def test_a_run_that_stops_says_what_it_finishes_first() -> None:
    one, two = snapshot(stopping=True), snapshot(stopping=True)._replace(in_flight=2)

    assert why_it_waits(one, EPOCH) == "stopping; 1 page in flight is finished first"
    assert why_it_waits(two, EPOCH) == "stopping; 2 pages in flight are finished first"


def test_the_latest_kinds_of_faults_come_with_their_counts_and_always_in_one_order() -> None:
    faults: dict[Fault, FaultCount] = {}
    for at, fault in enumerate((Fault.REFUSED, Fault.TIMEOUT, Fault.TIMEOUT, Fault.DNS, Fault.EMPTY, Fault.BANNED)):
        faults.setdefault(fault, FaultCount()).add(f"at {at}", at)
    before = rows(snapshot()._replace(faults=faults))
    faults[Fault.TIMEOUT].add("slowest", 6.0)

    after = rows(snapshot()._replace(faults=faults))

    assert [row.partition(",")[0].split()[-3] for row in before[4:]] == ["banned", "dns", "empty", "timeout"]
    assert after[4:7] == before[4:7]
    assert after[7] == "         timeout 3 times, 4 s ago: slowest"


def test_what_a_fault_says_cannot_drive_the_terminal() -> None:
    hostile = snapshot()._replace(last_fault="ban: \x1b[2J\x07gone")

    assert status_line(hostile, Throughput(0.0), EPOCH).endswith("last fault ban: [2J gone")
