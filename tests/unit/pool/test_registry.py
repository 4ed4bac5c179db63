"""Which engine, and what it has a use for."""

from __future__ import annotations

import pytest

from pinpool.errors import UsageError
from pinpool.pool import registry
from pinpool.pool.registry import ENGINES, Carries, EngineChoice, where_it_runs


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_alone_is_fine_where_its_package_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: object())

    EngineChoice(name).check(threads=False)


def test_all_that_an_engine_has_no_use_for_is_said_at_once() -> None:
    choice = EngineChoice("inline", start_method="spawn", address="192.0.2.1:6379")

    with pytest.raises(UsageError) as raised:
        choice.check(threads=True)

    assert [problem.partition(":")[0] for problem in raised.value.problems] == ["threads", "start_method", "address"]
    assert raised.value.problems[1] == (
        'start_method: the engine inline has no use for it: leave it out, or take engine="processes"'
    )


def test_an_engine_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r'engine="threads": there is no such engine: choose one of processes, inline'):
        EngineChoice("threads").check(threads=False)


def test_an_engine_whose_package_is_not_there_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENGINES", {"moon": Carries("moon", "hosts", package="no_such_package")})

    with pytest.raises(UsageError, match=r"pip install 'pinpool\[no_such_package\]'"):
        EngineChoice("moon").check(threads=False)


@pytest.mark.parametrize("name", ENGINES)
def test_only_where_the_spider_runs_in_the_caller_it_may_end_the_run(name: str) -> None:
    choice = EngineChoice(name)

    assert (KeyboardInterrupt in choice.quits) == (choice.where == "caller")
    assert choice.passed == choice.quits


def test_of_an_engine_of_a_newer_journal_nothing_is_known() -> None:
    assert where_it_runs("moon") is None
