"""The crawl: which page goes next, and what follows from each outcome."""
