"""The traceback of the user's own code: without our frames, and without those of Python and of installed packages."""

import sysconfig
from collections.abc import Iterable
from pathlib import Path
from traceback import FrameSummary, extract_tb

from pinpool.spider.loader import INSTALLED
from pinpool.spider.user_errors import shown_file
from pinpool.text import counted, one_line

#: The innermost frames that are shown. Endless recursion has a thousand.
_SHOWN = 10
_OURS = Path(__file__).parents[1]
_FOREIGN = (_OURS, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")))


def trace_lines(error: BaseException, spider_file: str) -> list[str]:
    """
    Two lines for each call in the user's code, the innermost last: the place, and the line of code.

    The file of the spider counts as the user's, wherever it is. Empty if the error never came there.
    """
    frames = [frame for frame in extract_tb(error.__traceback__) if _is_users(frame.filename, spider_file)]
    left_out = max(0, len(frames) - _SHOWN)
    lines = [f"  ({counted(left_out, 'earlier call')} left out)"] if left_out else []
    return [*lines, *_shown(frames[left_out:])]


def _is_users(file: str, spider_file: str) -> bool:
    if file == spider_file:
        return True
    path = Path(file)
    return not file.startswith("<") and not INSTALLED & {*path.parts} and not any(map(path.is_relative_to, _FOREIGN))


def _shown(frames: Iterable[FrameSummary]) -> Iterable[str]:
    for frame in frames:
        yield f"  {shown_file(frame.filename)}:{frame.lineno}, in {frame.name}"
        if frame.line:
            yield f"    {one_line(frame.line)}"
