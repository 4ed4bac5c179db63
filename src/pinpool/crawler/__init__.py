"""The crawl: which page goes next, and what follows from each outcome."""

#: What a forkserver imports for the workers of a crawl.
PRELOAD = ("pinpool.crawler.page_job", "pinpool.spider.extraction")
