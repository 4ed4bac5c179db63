from __future__ import annotations

import pickle

import pytest

from pinpool.model import EventKind, ProxyState
from pinpool.proxies.lifecycle import LIFE, STATE_AFTER, IllegalMove, move


def test_a_proxy_lives_as_the_table_says() -> None:
    state = ProxyState.SPARE
    lived = []
    for how in ("leased", "returned", "leased", "lost", "leased", "faulted", "rested"):
        state = move(state, EventKind(how))
        lived.append(state.value)
    for how in ("leased", "faulted", "exhausted"):
        state = move(state, EventKind(how))

    assert lived == ["pinned", "spare", "pinned", "spare", "pinned", "cooling", "spare"]
    assert state is ProxyState.RETIRED


def test_a_move_always_leads_to_the_same_state() -> None:
    assert all(STATE_AFTER[how] is after for (_, how), after in LIFE.items())


@pytest.mark.parametrize("state", ProxyState)
@pytest.mark.parametrize("how", EventKind)
def test_a_move_that_is_not_in_the_table_raises_and_survives_a_pickle(state: ProxyState, how: EventKind) -> None:
    if (state, how) in LIFE:
        assert move(state, how) is LIFE[state, how]
        return

    with pytest.raises(IllegalMove) as caught:
        move(state, how)

    back = pickle.loads(pickle.dumps(caught.value))
    assert str(back) == f"a {state} proxy cannot be {how}; please report this"


def test_only_the_list_can_move_a_retired_proxy() -> None:
    for state in ProxyState:
        assert move(state, EventKind.WITHDRAWN) is ProxyState.RETIRED
    assert [how for state, how in LIFE if state is ProxyState.RETIRED] == ["withdrawn", "joined"]
    assert move(ProxyState.RETIRED, EventKind.JOINED) is ProxyState.SPARE
