"""The lease queue as workers and the parent call it: through the Manager's socket, with a time limit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from multiprocessing import managers
from multiprocessing.managers import BaseProxy
from typing import Any, cast

from pinpool.pool.leases import LeaseQueue

#: The longest wait for an answer; a worker's own `timeout` of a second is part of it.
ANSWER_SECONDS = 10.0


class LeaseProxy(BaseProxy):
    """
    Has the public methods of `LeaseQueue`, and is used in its place.

    They raise OSError (TimeoutError) or EOFError if the Manager does not answer, and whatever the queue raises.
    """

    _exposed_ = tuple(name for name in vars(LeaseQueue) if not name.startswith("_"))
    _mute = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._exposed_:
            raise AttributeError(name)
        return partial(self._ask, name)

    def _ask(self, method: str, *arguments: object) -> Any:
        """As BaseProxy._callmethod, but a Manager that somebody has stopped must not stop the run."""
        proxy = cast(Any, self)
        if self._mute:
            raise TimeoutError("the Manager does not answer")
        if not hasattr(proxy._tls, "connection"):
            proxy._connect()
        connection = proxy._tls.connection
        connection.send((proxy._id, method, arguments, {}))
        if not connection.poll(ANSWER_SECONDS):
            # For good: a new connection would wait for the Manager's greeting.
            self._mute = True
            raise TimeoutError(f"the Manager did not answer within {ANSWER_SECONDS:g} s")
        kind, answer = connection.recv()
        if kind != "#RETURN":
            raise cast(Any, managers).convert_to_error(kind, answer)
        return answer
