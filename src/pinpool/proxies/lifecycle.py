"""The life of a proxy, as one table."""

from collections.abc import Mapping

from pinpool.errors import PinpoolError
from pinpool.model import EventKind, ProxyState

#: The state after each move that a state allows. Only a cooling proxy can be exhausted, so a worker has always let go
#: of a proxy before it retires for its faults.
LIFE: Mapping[tuple[ProxyState, EventKind], ProxyState] = {
    (ProxyState.SPARE, EventKind.LEASED): ProxyState.PINNED,
    (ProxyState.PINNED, EventKind.RETURNED): ProxyState.SPARE,
    (ProxyState.PINNED, EventKind.LOST): ProxyState.SPARE,
    (ProxyState.PINNED, EventKind.FAULTED): ProxyState.COOLING,
    (ProxyState.COOLING, EventKind.RESTED): ProxyState.SPARE,
    (ProxyState.COOLING, EventKind.EXHAUSTED): ProxyState.RETIRED,
    **{(state, EventKind.WITHDRAWN): ProxyState.RETIRED for state in ProxyState},
    (ProxyState.RETIRED, EventKind.JOINED): ProxyState.SPARE,
}
#: By a move alone, as stored in the journal: a move always leads to the same state.
STATE_AFTER: Mapping[str, ProxyState] = {how: after for (_, how), after in LIFE.items()}


class IllegalMove(PinpoolError):
    """A proxy in this state cannot make this move: a bug of pinpool itself."""

    def __str__(self) -> str:
        state, how = self.args
        return f"a {state} proxy cannot be {how}; please report this"


def move(state: ProxyState, how: EventKind) -> ProxyState:
    """The state after a move. Raises IllegalMove for a pair that is not in `LIFE`."""
    try:
        return LIFE[state, how]
    except KeyError:
        raise IllegalMove(state, how) from None


def table() -> str:
    """`LIFE` as text, one line ``state → move → state`` each."""
    return "\n".join(f"{before:<8}→ {how:<10}→ {after}" for (before, how), after in LIFE.items())
