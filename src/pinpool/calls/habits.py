"""What users of multiprocessing.Pool and of executors write out of habit, and what a `PinnedPool` has for it."""

from collections.abc import Mapping
from typing import NoReturn

from pinpool.errors import SettingsError
from pinpool.settings import Settings, settings_from

_METHODS: Mapping[str, str] = {
    "apply": "submit(function, argument).result()",
    "apply_async": "submit(function, argument, callback=...)",
    "imap": "map: it gives each result as it comes, in order",
    "imap_unordered": "map_unordered",
    "map_async": "map, or submit for each call",
    "starmap_async": "starmap, or submit for each call",
    "join": "close(), which waits for all calls",
    "shutdown": "close(), which waits for all calls, or terminate()",
}
_OF_POOL: Mapping[str, str] = {
    "processes": "the number of workers is workers=",
    "max_workers": "the number of workers is workers=",
    "context": "name start_method=",
    "mp_context": "name start_method=",
    "initializer": "a worker pins its proxy when it starts; set other things up in the function, at its first call",
    "initargs": "a worker pins its proxy when it starts; set other things up in the function, at its first call",
    "maxtasksperchild": "leave it out: a worker keeps its proxy as long as that works",
    "max_tasks_per_child": "leave it out: a worker keeps its proxy as long as that works",
}
_OF_MAP: Mapping[str, str] = {
    "chunksize": "leave it out: each call goes to the next free worker, and one that fails goes to another proxy alone",
    "timeout": "give the pool a deadline=, which is for each call",
    "callback": "use submit, which has it",
    "error_callback": "use submit, which has it",
    "buffersize": "leave it out: arguments are read as the workers need them",
}


def refuse_method(name: str) -> NoReturn:
    """Raise AttributeError for a method that a pool does not have, with the one it has instead."""
    hint = f": use {_METHODS[name]}" if name in _METHODS else ""
    raise AttributeError(f"a PinnedPool has no {name}{hint}")


def refuse_extra(method: str, extra: tuple[object, ...], named: Mapping[str, object]) -> None:
    """Raise TypeError if `method`, one of the maps, got more than a function and its arguments."""
    if named:
        name = next(iter(named))
        hint = f": {_OF_MAP[name]}" if name in _OF_MAP else ""
        raise TypeError(f"{method} has no {name}{hint}")
    if extra and isinstance(extra[0], int):
        raise TypeError(f"{method} has no chunksize: {_OF_MAP['chunksize']}")
    if extra:
        raise TypeError(f"{method} takes one list of arguments: for several use starmap(function, zip(...))")


def checked_settings(proxies: object, workers: object, settings: Mapping[str, object]) -> Settings:
    """The settings of a pool. Raises SettingsError with all that is wrong with what it was given."""
    problems = [f"{name}: no such setting; {_OF_POOL[name]}" for name in settings if name in _OF_POOL]
    if isinstance(proxies, int):
        problems.append("proxies: the list of proxies comes first, as in PinnedPool('proxies.txt', workers=8)")
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        problems.append(f"workers: must be a whole number from 1 on, not {workers!r}")
    chosen = Settings()
    try:
        chosen = settings_from({name: value for name, value in settings.items() if name not in _OF_POOL})
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)
    return chosen
