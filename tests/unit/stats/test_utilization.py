"""What the workers of a run spent their time on comes back from the journal as it was written."""

from __future__ import annotations

import pytest

from pinpool.stats.utilization import Utilization


def test_a_utilization_comes_back_from_its_text() -> None:
    written = Utilization()
    written.add(2.5, workers=4, running=2, pacing=1, parked=1)

    assert Utilization.parse(written.text()) == written == Utilization(2.5, 10.0, 5.0, 2.5, 2.5)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"seconds": "x"}', "null"])
def test_any_other_text_is_none(text: str) -> None:
    assert Utilization.parse(text) is None
