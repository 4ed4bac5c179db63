"""What crosses between the parent and its workers, as plain values."""

from __future__ import annotations

import pickle

import pytest

from pinpool.model import Assignment, Call, Ending, Evidence, Outcome, PageSample, Sign, Step, Task
from pinpool.pool.job import pack, pack_work, unpack, unpack_work

FORM = Task("detail", "http://films.test/é", b"k" * 16, "POST", b"a=1\0", (("x-token", "é"),), '{"n": 1}')
EVIDENCE = Evidence(Step.PAGE, Sign.STATUS, "503", 503, 2.5)
SAMPLE = PageSample("detail empty", FORM.url, 200, "{}", b"x", 1)


@pytest.mark.parametrize("ending", list(Ending))
def test_an_outcome_comes_out_as_it_went_in(ending: Ending) -> None:
    outcome = Outcome(
        7, 8, 9, ending, 1.5, 0.5, 200, 10, EVIDENCE, True, ("{}",), (FORM, FORM), b"result", "robots", SAMPLE
    )

    found = unpack(pack(outcome))

    assert found == outcome
    assert found.ending is ending
    assert [type(task) for task in found.tasks] == [Task, Task]
    assert found.tasks[0].headers == FORM.headers


@pytest.mark.parametrize("work", [Assignment(FORM), Assignment(FORM, (1, 2), True), Call(b"a call", (3,))])
def test_work_comes_out_as_it_went_in(work: Assignment | Call) -> None:
    found = unpack_work(pickle.loads(pickle.dumps(pack_work(work))))

    assert found == work
    assert type(found) is type(work)
