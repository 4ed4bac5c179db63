"""The frontier: which task goes next."""

from pinpool.crawler.scheduler import Entry, Frontier
from pinpool.model import Task


def entry(number: int, *, is_index: bool = False) -> Entry:
    stage = "index" if is_index else "detail"
    return Entry(number, Task(stage, f"http://site.test/{number}", b"%16d" % number), is_index)


def test_details_go_before_list_pages_while_there_are_enough_of_them() -> None:
    frontier = Frontier()
    frontier.push(entry(1, is_index=True))
    for number in range(2, 12):
        frontier.push(entry(number))

    first = frontier.take(now=0.0, room=5)

    assert first is not None
    assert first.id == 2


def test_list_pages_go_first_when_details_run_short() -> None:
    """A chain of list pages would starve a hundred workers if its few details went first."""
    frontier = Frontier()
    frontier.push(entry(1))
    frontier.push(entry(2, is_index=True))

    order = [taken.id for _ in range(2) if (taken := frontier.take(now=0.0, room=5))]

    assert order == [2, 1]


def test_a_delayed_task_goes_first_once_its_moment_has_come() -> None:
    frontier = Frontier()
    frontier.push(entry(1))
    frontier.delay(entry(2), until=10.0)

    before = frontier.take(now=9.9, room=1)
    frontier.push(entry(3))
    after = frontier.take(now=10.0, room=1)

    assert before is not None
    assert after is not None
    assert (before.id, after.id) == (1, 2)


def test_nothing_is_done_while_a_task_is_in_flight() -> None:
    frontier = Frontier()
    frontier.sent(7, entry(1))

    assert not frontier.empty
    landed = frontier.ended(7)
    assert landed is not None
    assert frontier.empty


def test_an_answer_that_comes_twice_lands_once() -> None:
    frontier = Frontier()
    frontier.sent(7, entry(1))
    frontier.ended(7)

    again = frontier.ended(7)

    assert again is None


def test_it_says_how_it_stands() -> None:
    frontier = Frontier()
    frontier.push(entry(1))
    frontier.delay(entry(2), until=1.0)
    frontier.sent(1, entry(3))

    assert repr(frontier) == "<Frontier 1 ready, 1 delayed, 1 in flight>"
