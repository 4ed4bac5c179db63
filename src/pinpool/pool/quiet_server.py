"""
The first module that the forkserver imports: it dies without a traceback of its own.

Whatever ends it, a lack of processes for instance, the parent notices and reports with the next step (`startup`). Its
children show theirs as ever.
"""

import os
import sys
import warnings
from types import TracebackType

_SERVER = os.getpid()


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if os.getpid() != _SERVER:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _show
warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")
