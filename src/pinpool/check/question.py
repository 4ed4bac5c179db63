"""What `pinpool try` asks for: which page, what is sent with it, and which stage of the spider reads it. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from pinpool.errors import SpiderError
from pinpool.model import Task
from pinpool.spider.spider import Spider
from pinpool.tasks import request
from pinpool.text import shown_url
from pinpool.urls import canonical_url

#: Seeds that a URL is compared with. A list may have millions.
_COMPARED = 10_000
_NUMBER = re.compile(r"\d+")
_BODY_HEADERS = ("content-type",)


class Question(NamedTuple):
    """
    One page. `stages` are those that may read it: the first that makes something of it does. `why` says, for people,
    how that was decided; `sure` is true if it is no guess.
    """

    task: Task
    stages: tuple[str, ...]
    why: str = ""
    sure: bool = True


def about_seed(task: Task, stage: str | None = None) -> Question:
    """The first seed, read by its own stage or by `stage`."""
    return Question(task._replace(stage=stage or task.stage), (stage or task.stage,), "" if stage else "the first seed")


def about_url(spider: Spider, url: str, stage: str | None = None) -> Question:
    """
    The page at a URL. A seed keeps its form, headers and data. Without `stage` it is guessed, in this order:

    the stage of the seed with this URL; the only stage there is; the stage of a seed whose URL differs in numbers only;
    the only stage that no seed belongs to; the first stage that makes something of the page, the seeds' stages last.

    Seeds that only a function knows are not asked for. Raises ValueError if the URL cannot be requested.
    """
    task, seeds = request(url, stage=stage or spider.first_stage), listed_seeds(spider)
    wanted = canonical_url(task.url)
    same = next((seed for seed in seeds if canonical_url(seed.url) == wanted), None)
    if same is not None:
        task = same
    if stage is not None:
        return Question(task._replace(stage=stage), (stage,))
    if same is not None:
        return Question(task, (task.stage,), "its URL is a seed")
    stages, why, sure = _guessed(spider, task.url, seeds)
    return Question(task._replace(stage=stages[0]), stages, why, sure)


def about_file(spider: Spider, url: str | None, stage: str | None = None) -> Question:
    """
    A page that was saved. Without a URL its links are resolved as those of the first seed, and its stage is the first
    that makes something of it.
    """
    if url is not None:
        return about_url(spider, url, stage)
    seeds = listed_seeds(spider)
    task = seeds[0] if seeds else request("http://localhost/", stage=spider.first_stage)
    stages = (stage,) if stage else _in_order(spider)
    sure = len(stages) == 1
    return Question(task._replace(stage=stages[0]), stages, "" if sure else _FIRST_THAT_READS, sure)


def sent_with(question: Question, form: Sequence[tuple[str, str]], data: Mapping[str, Any] | None) -> Question:
    """
    The question with a form, which makes it a POST, and with the data that another page would hand on. Empty ones
    change nothing. Raises ValueError if they cannot be sent.
    """
    task = question.task
    if form:
        headers = {name: value for name, value in task.headers if name.lower() not in _BODY_HEADERS}
        handed_on = json.loads(task.data) if task.data else None
        task = request(task.url, stage=task.stage, form=form, headers=headers, data=handed_on)
    if data is not None:
        task = task._replace(data=request(task.url, stage=task.stage, data=data).data)
    return question._replace(task=task)


def listed_seeds(spider: Spider) -> list[Task]:
    """
    The first seeds, without those that are wrong. None of a function or a generator, which may ask somebody; those of a
    TOML file stand in it.
    """
    seeds = [spider.seeds] if isinstance(spider.seeds, str | Task) else spider.seeds
    if callable(seeds) and spider.origin is not None and spider.origin.plan:
        try:
            seeds = spider.start()
        except SpiderError:
            return []
    found: list[Task] = []
    for seed in islice(seeds, _COMPARED) if isinstance(seeds, list | tuple) else ():
        try:
            found.append(seed if isinstance(seed, Task) else request(seed, stage=spider.first_stage))
        except ValueError:
            continue
    return found


_FIRST_THAT_READS = "the first that makes something of the page"


def _guessed(spider: Spider, url: str, seeds: Sequence[Task]) -> tuple[tuple[str, ...], str, bool]:
    if len(spider.stages) == 1:
        return tuple(spider.stages), "", True
    shape = _shape(url)
    like = next((seed for seed in seeds if _shape(seed.url) == shape), None)
    if like is not None:
        return (like.stage,), f"like the seed {shown_url(like.url)}", False
    taken = {seed.stage for seed in seeds}
    others = [name for name in _in_order(spider) if name not in taken]
    if taken and len(others) == 1:
        return (others[0],), "unlike the seeds, so the other stage", False
    rest = [name for name in _in_order(spider) if name in taken]
    return (*others, *rest), _FIRST_THAT_READS, False


def _in_order(spider: Spider) -> tuple[str, ...]:
    """All stages, that of plain seeds first."""
    return (spider.first_stage, *(name for name in spider.stages if name != spider.first_stage))


def _shape(url: str) -> tuple[str, tuple[str, ...]]:
    """What URLs of one kind share: the path without its numbers, and the names in the query."""
    parts = urlsplit(url)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return _NUMBER.sub("#", parts.path), tuple(names)
