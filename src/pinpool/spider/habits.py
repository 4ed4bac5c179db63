"""
What people write who know another scraper, and the right way here: a sentence for each. Only asked once something has
failed.
"""

from collections.abc import Iterable
from types import NoneType

_FIRST, _ALL = "{it}.first(SELECTOR) for one text", "{it}.all(SELECTOR) for the texts of all matches"
_ANY = f"{_FIRST}, {_ALL}, {{it}}.each(SELECTOR) for parts of the page"
#: Attributes that neither pages nor nodes have, and what to write instead.
_ATTRIBUTES = {
    **dict.fromkeys(("css", "xpath", "selector", "cssselect"), _ANY),
    **dict.fromkeys(("get", "extract_first", "re_first", "find", "select_one"), _FIRST),
    **dict.fromkeys(("getall", "extract", "re", "findall", "find_all"), _ALL),
    "attrib": "{it}.first('@NAME') for the attribute of a node",
}
#: Further ones, of pages only.
_OF_PAGES = {
    "follow": "page.task(URL, stage=STAGE)",
    "follow_all": "page.more(SELECTOR), page.details(SELECTOR), or page.tasks(SELECTOR, STAGE)",
    "urljoin": "page.join(HREF)",
    **dict.fromkeys(("meta", "cb_kwargs"), "page.data, which has what page.task(URL, data={{...}}) handed on"),
    "request": "page.url, page.stage and page.data",
    "status_code": "page.status",
    "content": "page.body for bytes, page.text for text",
    "soup": _ANY,
}
#: Keywords of Scrapy's requests. As keywords of `Page.task` they would be handed on to the next page, unseen.
_KEYWORDS = {
    "callback": 'write stage="NAME": the function below @spider.stage("NAME") takes the page',
    "errback": "pinpool tries a page again by itself, and `pinpool failures` lists what was given up",
    "formdata": "write form={...}",
    "cb_kwargs": "write data={...}, which arrives as page.data",
    "dont_filter": "pinpool asks for the same page once; leave it out",
}
#: Methods of Scrapy's results, tried on a text or a list of texts.
_ON_RESULTS = frozenset({"get", "getall", "extract", "extract_first", "css", "xpath", "re", "re_first"})


def missing_attribute(owner: object, name: str) -> str:
    """The sentence for an attribute that a page or a node does not have."""
    kind = type(owner).__name__
    if name[0] == "_":  # Python itself asks for these, dir() too
        return f"{kind} has no {name}"
    words = _ATTRIBUTES | _OF_PAGES if kind == "Page" else _ATTRIBUTES
    if name in words:
        return f"{kind} has no {name}: write {words[name].format(it=kind.lower())}"
    from difflib import get_close_matches

    near = get_close_matches(name, [known for known in dir(owner) if known[0] != "_"], n=1)
    return f"{kind} has no {name}" + (f"; did you mean {near[0]}?" if near else "")


def foreign_keywords(given: Iterable[str]) -> str:
    """What to write instead of Scrapy's keywords among those of a task; empty if there are none."""
    return "; ".join(f"{name}: {_KEYWORDS[name]}" for name in given if name in _KEYWORDS)


def hint_for(error: BaseException) -> str:
    """What to write instead, to be put behind what the user's code raised; mostly empty."""
    if isinstance(error, AttributeError) and error.name in _ON_RESULTS and isinstance(error.obj, str | list | NoneType):
        return f"; page.first gives a text or None, and page.all a list of texts: leave .{error.name}() out"
    return ""


def refused_part(part: object) -> str:
    """What a stage yielded that is neither item nor task, and what to do about it."""
    kind = type(part)
    if isinstance(part, str) and part.strip().lower().startswith(("http://", "https://", "/")):
        return "str, which looks like a URL: write page.task(URL, stage=STAGE) to ask for it"
    if kind.__name__.endswith("Request") and hasattr(part, "url"):
        return f"{kind.__name__} of {kind.__module__.partition('.')[0]}: write page.task(URL, stage=STAGE) instead"
    if kind.__name__ in ("Node", "_Element", "Selector"):
        return f"{kind.__name__}, a part of the page: write a dict of its texts, such as {{'title': node.first('h2')}}"
    if callable(part):
        return f"{kind.__name__}, which was not called"
    return f"{kind.__name__}; it may yield dicts, objects with fields, tasks, and lists of them"


def foreign_spider(value: object) -> bool:
    """Whether this is a class that is a spider for Scrapy, or is written like one."""
    if not isinstance(value, type) or value.__module__.partition(".")[0] == "scrapy":
        return False
    from_scrapy = any(base.__module__.partition(".")[0] == "scrapy" for base in value.__mro__)
    return from_scrapy or "start_urls" in vars(value)
