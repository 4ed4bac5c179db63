"""A list of proxies, from text or bytes: its lines, its comments and its ranges."""

import re
from itertools import chain, product
from math import prod

from pinpool.errors import ProxyListError
from pinpool.proxies.entry import Unreadable, proxy_of
from pinpool.proxies.proxy import Proxy, ProxyList, with_distinct_labels

#: Proxies in one list, before duplicates are dropped.
LARGEST_LIST = 100_000
#: Bytes of a list, and characters of one entry; anything longer is not a list of proxies.
LARGEST_FILE, LONGEST_ENTRY = 50_000_000, 2_000

NEW_LINE = re.compile(r"\r\n|\r|\n")
COMMENT = re.compile(r"(?:^|[ \t])#.*")
_RANGE = re.compile(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}")


def parse(text: str, source: str) -> ProxyList:
    """
    Read a list, one entry per line; `source` names it in messages.

    An entry is ``scheme://user:password@host:port``, ``host:port``, ``host:port:user:password`` or
    ``user:password@host:port``. Percent-encoded characters before an ``@`` are decoded once; the form with colons
    alone is taken as it is. ``{1..100}`` stands for each of these numbers, ``{01..10}`` pads them.

    Raises ProxyListError with all problems, each as ``source:line: what is wrong; what to write``.
    """
    first: dict[Proxy, tuple[int, str]] = {}  # the line that names each proxy first, and its entry there
    problems: list[str] = []
    notes: dict[str, None] = {}  # a range repeats the note of its line; a dict keeps each once, in order
    count = 0
    for number, line in enumerate(NEW_LINE.split(text), 1):
        # Where files were joined, any line may begin with a BOM.
        entry = COMMENT.sub("", line.lstrip("\ufeff")).strip(" \t")
        if not entry:
            continue
        where = f"{source}:{number}:"
        try:
            expanded = _expand(entry)
            count += len(expanded)
            if count > LARGEST_LIST:
                problems.append(f"{where} the list grows beyond {LARGEST_LIST:,} proxies here; shorten it")
                break
            for single in expanded:
                proxy = proxy_of(single)
                if proxy in first:
                    notes[f"{where} same as line {first[proxy][0]}"] = None
                elif proxy.scheme == "socks4" and proxy.password:
                    notes[f"{where} socks4 has no passwords, so only the user name is sent"] = None
                # An entry of an expanded range may look like another range, but is not.
                first.setdefault(proxy, (number, proxy.url if _RANGE.search(single) else single))
        except Unreadable as reason:  # the rest of a range would only repeat it
            problems.append(f"{where} {reason}")
    if not count and not problems:
        problems.append(f"{source}: the list is empty; write one proxy per line, such as http://192.0.2.1:8080")
    if problems:
        raise ProxyListError(problems)
    entries = tuple(single for _, single in first.values())
    return ProxyList(tuple(with_distinct_labels(first)), tuple(notes), entries)


def parse_bytes(data: bytes, source: str) -> ProxyList:
    """Read a list from the bytes of a file. Arguments and errors as for `parse`."""
    if len(data) > LARGEST_FILE:
        raise ProxyListError(f"{source}: larger than {LARGEST_FILE:,} bytes; is this a list of proxies?")
    try:
        return parse(data.decode(), source)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    # Not within the `except`: a UnicodeDecodeError holds the whole list, passwords included.
    raise ProxyListError(f"{source}:{line}: not UTF-8 from here on; save the list as UTF-8")


def _expand(entry: str) -> list[str]:
    """The entries that the ranges of one stand for."""
    if len(entry) > LONGEST_ENTRY:
        raise Unreadable(f"longer than {LONGEST_ENTRY:,} characters; is this a list of proxies?")
    parts = _RANGE.split(entry)  # text, first, last, text, first, last, text
    texts, bounds = parts[::3], list(zip(parts[1::3], parts[2::3], strict=True))
    if any(int(last) < int(first) for first, last in bounds):
        raise Unreadable("a range runs backwards; write the smaller number first, such as {1..100}")
    if prod(int(last) - int(first) + 1 for first, last in bounds) > LARGEST_LIST:
        raise Unreadable(f"its ranges make more than {LARGEST_LIST:,} proxies; shorten them")
    choices = [_numbers(first, last) for first, last in bounds]
    return [texts[0] + "".join(chain(*zip(chosen, texts[1:], strict=True))) for chosen in product(*choices)]


def _numbers(first: str, last: str) -> list[str]:
    padded = any(bound[0] == "0" and len(bound) > 1 for bound in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
