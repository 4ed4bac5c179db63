"""Ctrl-C before a run begins."""

from __future__ import annotations

import signal

import pytest

from pinpool.crawler.signals import Stop, answering_signals, interrupt


def test_a_ctrl_c_that_somebody_has_swallowed_stops_the_run_that_begins_then_and_no_other() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT, None)

    first, second = Stop(), Stop()
    with answering_signals(first):
        pass
    with answering_signals(second):
        pass

    assert (first.asked, second.asked) == (1, 0)
