"""The results of many calls of one function, as an iterator that reads the arguments as they are needed."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from pinpool.calls.futures import CallFuture
from pinpool.errors import UsageError

R = TypeVar("R")

#: Calls under way for each worker: one in its hands, one to take next.
AT_ONCE = 2
#: Arguments that may be read for each worker before the first of their results is taken, where the order counts: the
#: other workers go on while one call takes long.
AHEAD = 20


class Results(Iterator[R], Generic[R]):
    """
    The results of ``function(argument)``: with `ordered` in the order of the arguments, else as they come.

    ``next`` raises the error of a call that failed, and may be called again for the other results. What the arguments
    raise is raised after the results of those that came before. Only as many arguments are read as the workers need.
    """

    def __init__(
        self,
        submit: Callable[[Any], CallFuture[R]],
        arguments: Iterable[object],
        *,
        name: str,
        ordered: bool,
        workers: int,
    ) -> None:
        """`submit` makes one call; if it raises UsageError, that is what this call comes to. `name` is for people."""
        self._submit = submit
        self._name = name
        self._ordered = ordered
        self._at_once = AT_ONCE * workers
        self._ahead = (AHEAD if ordered else AT_ONCE) * workers
        self._source: Iterator[object] | None = iter(arguments)
        self._problem: BaseException | None = None
        self._done: SimpleQueue[Future[R]] = SimpleQueue()
        self._open: set[Future[R]] = set()
        #: Those to give out: all in the order of the arguments, or those that are done.
        self._line: deque[Future[R]] = deque()
        self._taken = self._made = 0
        self._is_forgotten = False
        self._fill()
        self._is_forgotten = self._made > 0  # until somebody asks for a result

    def __repr__(self) -> str:
        return f"<results of {self._name}, {self._taken} taken: iterate over them, or make a list of them>"

    def __next__(self) -> R:
        self._is_forgotten = False
        while True:
            self._take_in()
            if self._line and (not self._ordered or self._line[0].done()):
                future = self._line.popleft()
                self._taken += 1
                self._fill()  # before the caller does something with this one
                return future.result()
            if not self._open:
                break
            self._ended(self._done.get())
        if (problem := self._problem) is None:
            raise StopIteration
        self._problem = None
        raise problem

    def _take_in(self) -> None:
        with suppress(Empty):
            while True:
                self._ended(self._done.get_nowait())
        self._fill()

    def _ended(self, future: Future[R]) -> None:
        self._open.discard(future)
        if not self._ordered:
            self._line.append(future)

    def _fill(self) -> None:
        while self._source is not None and len(self._open) < self._at_once and self._held < self._ahead:
            try:
                self._make(next(self._source))
            except StopIteration:
                self._source = None
            except Exception as error:  # noqa: BLE001  of the arguments: it comes after the results of those before
                self._source, self._problem = None, error

    @property
    def _held(self) -> int:
        return len(self._line) + (0 if self._ordered else len(self._open))

    def _make(self, argument: object) -> None:
        self._made += 1
        future: Future[R] = Future()
        try:
            call = self._submit(argument)
        except UsageError as error:
            future.set_exception(error)
            self._line.append(future)
            return
        self._open.add(call)
        if self._ordered:
            self._line.append(call)
        call.watch(self._done.put)

    def __del__(self) -> None:
        """Cancel what nobody will take. As for a coroutine, Python warns if nobody ever asked for a result."""
        for future in self.__dict__.get("_open", ()):
            future.cancel()
        if self.__dict__.get("_is_forgotten"):
            message = f"no result of {self._name} was taken, so most calls were not made: use list(pool.map(...))"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
