"""The spider behind `pinpool fetch`: its seeds are files, and there is nothing to extract."""

from pinpool.model import FILE_STAGE
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider


def _never(page: Page) -> None:
    """No page comes: every task is a file."""


spider = Spider(name="fetch")
# Declared here alone: for other spiders the name is taken.
spider.stages[FILE_STAGE] = _never
