"""
The benchmark, as `python tests/benchmarks`: see benchmark.py.

Nothing else is here, because each process of a pool runs the script of its parent once more.
"""

from benchmark import main

if __name__ == "__main__":
    main()
