"""Engines run assignments somewhere else: in a pool of processes, or in line. The crawl knows only `base`."""
