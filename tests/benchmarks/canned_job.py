"""What the benchmark's workers run: a page takes its time and gives a film, or a list of ten, without a fetch."""

from __future__ import annotations

import time
from functools import cache

from pinpool.crawler.page_job import PageJob
from pinpool.model import Assignment, Call, Ending, Task
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.settings import Settings
from pinpool.spider.loader import parse_ref
from pinpool.tasks import request

SITE = "http://films.test"
FILM = (
    '{"url": "URL", "title": "Farewell my concubine", "directors": ["Chen Kaige", "Somebody Else"], "score": "9.5",'
    ' "categories": ["drama", "romance"]}'
)


@cache
def result_of(task: Task) -> JobResult:
    """A list page asks for ten films, a film is an item. Made once: it must not add to the cost of what handles it."""
    if task.stage == "index":
        number = task.url.rpartition("/")[2]
        films = tuple(request(f"{SITE}/detail/{number}{digit}", stage="detail") for digit in range(10))
        return JobResult(Ending.OK, 200, 26_000, tasks=films)
    return JobResult(Ending.OK, 200, 40_000, items=(FILM.replace("URL", task.url),))


class CannedJob(PageJob):
    """Loads a spider as the workers of a crawl do, but makes its results up."""

    def __init__(self, settings: Settings, seconds: float) -> None:
        super().__init__(parse_ref("pinpool.examples.movies"), settings)
        self._seconds = seconds

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        assert isinstance(work, Assignment)
        time.sleep(self._seconds)
        return result_of(work.task)
