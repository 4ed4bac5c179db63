"""The life of a proxy, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pinpool.errors import PinpoolError
from pinpool.model import ProxyState


class Move(StrEnum):
    """What may happen to a proxy."""

    LEASED = "leased"  # a worker pins it
    RETURNED = "returned"  # the worker is done with it
    LOST = "lost"  # its worker is gone
    FAULTED = "faulted"  # taken out for its faults
    RESTED = "rested"  # its cooling is over
    EXHAUSTED = "exhausted"  # no use in trying it again
    WITHDRAWN = "withdrawn"  # no longer on the list
    JOINED = "joined"  # on the list, for the first time or again


# A pinned proxy that refuses our credentials is faulted and exhausted in one go. Only a cooling one can be
# exhausted, so that a worker has always let go of a proxy before it retires for its faults.
LIFE: Mapping[tuple[ProxyState, Move], ProxyState] = {
    (ProxyState.SPARE, Move.LEASED): ProxyState.PINNED,
    (ProxyState.PINNED, Move.RETURNED): ProxyState.SPARE,
    (ProxyState.PINNED, Move.LOST): ProxyState.SPARE,
    (ProxyState.PINNED, Move.FAULTED): ProxyState.COOLING,
    (ProxyState.COOLING, Move.RESTED): ProxyState.SPARE,
    (ProxyState.COOLING, Move.EXHAUSTED): ProxyState.RETIRED,
    **{(state, Move.WITHDRAWN): ProxyState.RETIRED for state in ProxyState},
    (ProxyState.RETIRED, Move.JOINED): ProxyState.SPARE,
}


class IllegalMove(PinpoolError):
    """A proxy in this state cannot make this move: a fault of pinpool itself."""

    def __init__(self, state: ProxyState, move: Move) -> None:
        super().__init__(state, move)
        self.state = state
        self.move = move

    def __str__(self) -> str:
        return f"a {self.state} proxy cannot be {self.move}; please report this"


def move(state: ProxyState, how: Move) -> ProxyState:
    """The state after a move. Raises IllegalMove for a pair that is not in `LIFE`."""
    try:
        return LIFE[state, how]
    except KeyError:
        raise IllegalMove(state, how) from None


def table() -> str:
    """`LIFE` as text, one line ``state → move → state`` each."""
    return "\n".join(f"{before:<8}→ {how:<10}→ {after}" for (before, how), after in LIFE.items())
