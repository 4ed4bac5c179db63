"""
The first module that the forkserver imports: after it, the forkserver dies without a traceback of its own.

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
if os.environ.get("PYTHONSAFEPATH") == "pinpool":  # ours (`child_process.warm_up`): not for what a spider starts
    del os.environ["PYTHONSAFEPATH"]
warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")
