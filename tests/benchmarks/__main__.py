"""
The benchmark, as `python tests/benchmarks`: see benchmark.py.

Nothing else is here, because each process of a pool runs the script of its parent once more.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from benchmark import main

if __name__ == "__main__":
    main()
