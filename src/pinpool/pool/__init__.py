"""Engines: worker processes, each with a proxy pinned to it. The only package that imports multiprocessing."""
