"""
The encoding of a page, found as a browser finds it (HTML Standard, 13.2.3.2; for JSON, RFC 8259).

A byte order mark counts first, then the header, then what the page declares: HTML in a meta or an XML declaration, XML
in its declaration. Without any of these JSON and XML are UTF-8. HTML is UTF-8 if it looks like it, else windows-1252.
"""

import json
import re
from functools import lru_cache
from typing import NamedTuple

from pinpool.spider.web_codecs import (
    USER_DEFINED,
    UTF_8,
    UTF_16_BE,
    UTF_16_LE,
    WINDOWS_1252,
    Encoding,
    known_to_python,
    labelled,
    read,
)

_MARKS = (
    (b"\xef\xbb\xbf", UTF_8),
    # Browsers no longer read UTF-32, but nothing else starts like this.
    (b"\xff\xfe\0\0", Encoding("utf-32-le", "utf-8")),
    (b"\0\0\xfe\xff", Encoding("utf-32-be", "utf-8")),
    (b"\xff\xfe", UTF_16_LE),
    (b"\xfe\xff", UTF_16_BE),
)
#: Bytes in which a browser looks for a meta before it parses the page.
_PRESCAN = 1024
#: Bytes in which it is looked for at all.
_MAX_HEAD = 1 << 20
#: Bytes that are counted first to tell UTF-8 from windows-1252, and the majority in them that decides.
_SAMPLE = 4096
_CLEAR = 50
#: Characters of a Content-Type that are read.
_MAX_TYPE = 1000

_VALUE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_TYPE = re.compile(r"[ \t]*([^\s;,/]+/[^\s;,]+)")
_PARAMETER = re.compile(
    r"(?:^|[;\s])charset\s*=\s*[\"']?\s*([^\s\"';,]+)|\"(?:[^\"\\]|\\.)*\"", re.IGNORECASE | re.DOTALL
)
_XML_DECLARATION = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]+)[\"']")
_IN_CONTENT = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"'][^\s;]*))", re.IGNORECASE)
_ASCII = bytes(range(0x80))

# Nothing of these goes back far, so that no page can make them slow. One pattern with a possessive group would do
# without the loop below, but Python 3.11.4 and older end such a group at wrong places.
#: A tag; with its end, where that is easily seen. A closing tag has nothing to say.
_TAG = re.compile(
    rb"<(?:([a-z][^\s/>]*+)(?:[^<>\"']*+(?:=\"[^\"<>]*+\"[^<>\"']*+)*(>))?|!--|[!?]|/(?![a-z]))", re.IGNORECASE
)
_COMMENT_END = re.compile(rb"--!?>")
_PAIR = re.compile(
    rb"[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^\s\"'>][^\s>]*+|(?=>)))?"
)
_TAG_END = re.compile(rb"[\s/]*+>")
#: In these there are no tags, for a browser with scripts.
_RAW = frozenset({b"script", b"style", b"title", b"noscript", b"noframes"})
_RAW_END = {name: re.compile(rb"</%s(?=[\s/>])" % name, re.IGNORECASE) for name in _RAW}
#: Any other element ends the head.
_HEAD = _RAW | {b"html", b"head", b"base", b"basefont", b"bgsound", b"link", b"template"}


class ContentType(NamedTuple):
    """What a Content-Type says: the type in lower case, and the encoding; both may be missing."""

    type: str
    encoding: Encoding | None

    @property
    def is_xml(self) -> bool:
        """Whether this is a type of XML (MIME Sniffing Standard, 4.6)."""
        return self.type in ("text/xml", "application/xml") or self.type.endswith("+xml")

    @property
    def is_json(self) -> bool:
        """Whether this is a type of JSON (MIME Sniffing Standard, 4.6)."""
        return self.type in ("application/json", "text/json") or self.type.endswith("+json")


class Decoded(NamedTuple):
    """
    A page as text. `encoding` is Python's name of what it was read in, `sent_in` names Python's codec for what is sent
    from it: the queries of links, and forms.
    """

    encoding: str
    text: str
    sent_in: str = "utf-8"


def decode(body: bytes, content_type: str | None, override: str | None) -> Decoded:
    """
    The body as text without byte order mark and NULs. What cannot be read is U+FFFD.

    `override` wins over the byte order mark, the header and the page itself.
    """
    encoding, marked = _named(override) if override else None, _marked(body)
    if encoding is None:
        encoding = marked or _announced(body, content_type)
    elif encoding is UTF_16_LE and marked is UTF_16_BE:
        encoding = marked  # "utf-16" leaves that to the mark
    try:
        text = read(body, encoding.name)
    except ValueError:  # some of Python's codecs refuse to replace what they cannot read
        encoding = _guessed(body)
        text = read(body, encoding.name)
    # The body is searched faster than the text. In UTF-16 every other byte is a NUL, of which the text has none.
    text = text.replace("\0", "") if encoding.name != "utf-8" or b"\0" in body else text
    return Decoded(encoding.name, text.removeprefix("\ufeff"), encoding.sent_in)


def json_text(body: bytes, content_type: str | None, override: str | None) -> str:
    """JSON that is not wholly UTF-8, as text: in the encoding that was announced, unless most of it is UTF-8."""
    encoding = (_named(override) if override else None) or _marked(body)
    if encoding is None and _wrong(body) > 0:
        encoding = read_type(content_type).encoding
    text = body.decode(json.detect_encoding(body), "replace") if encoding is None else read(body, encoding.name)
    return text.removeprefix("\ufeff")


def read_type(content_type: str | None) -> ContentType:
    """What the header says. Of several values, the last that makes sense counts (Fetch Standard, 2.2.5)."""
    return _read_type(content_type[:_MAX_TYPE]) if content_type else _NO_TYPE


_NO_TYPE = ContentType("", None)


@lru_cache(maxsize=256)
def _read_type(content_type: str) -> ContentType:
    found = _NO_TYPE
    for value in _VALUE.findall(content_type):
        named = _TYPE.match(value)
        if named is None or named[1] == "*/*":
            continue
        essence, encoding = named[1].lower(), _charset(value)
        if encoding is None and essence == found.type:
            encoding = found.encoding
        found = ContentType(essence, encoding)
    return found if found.type else ContentType("", _charset(content_type))


def _charset(parameters: str) -> Encoding | None:
    label = next(filter(None, _PARAMETER.findall(parameters)), None)
    return None if label is None else labelled(label)


def _named(name: str) -> Encoding | None:
    """The encoding of a setting: by its label on the web, or as Python names it."""
    return labelled(name) or known_to_python(name)


def _marked(body: bytes) -> Encoding | None:
    if body[:1] not in (b"\xef", b"\xff", b"\xfe", b"\0"):
        return None
    return next((encoding for mark, encoding in _MARKS if body.startswith(mark)), None)


def _announced(body: bytes, content_type: str | None) -> Encoding:
    """The encoding by the header, the page, or the rules for its type."""
    kind = read_type(content_type)
    if kind.encoding is not None:
        return kind.encoding
    if kind.is_json:
        detected = json.detect_encoding(body)
        return UTF_8 if detected.startswith("utf-8") else Encoding(detected, "utf-8")
    if body.startswith((b"<\0?\0x\0", b"\0<\0?\0x")):
        return UTF_16_LE if body[0] else UTF_16_BE
    if kind.is_xml:
        return _by_declaration(body) or _guessed(body)
    return (
        _by_meta(body, _PRESCAN) or _by_declaration(body) or _by_meta(body, _MAX_HEAD, in_head=True) or _guessed(body)
    )


def _by_declaration(body: bytes) -> Encoding | None:
    found = _XML_DECLARATION.match(body, 0, _PRESCAN)
    return None if found is None else _without_utf_16(labelled(found[1].decode("latin-1")))


def _by_meta(body: bytes, end: int, *, in_head: bool = False) -> Encoding | None:
    """
    The encoding that the first meaningful meta before `end` names, as a browser finds it before it parses the page; or
    as its parser does, if it has to stand `in_head`.
    """
    position = 0 if b"<meta" in body[:end].lower() else end
    while found := _TAG.search(body, position, end):
        position = found.end()
        if found[1] is None:
            position = _behind_other(body, found.start(), end)
        elif (name := found[1].lower()) == b"meta":
            position, attributes = _attributes(body, found.end(1), end)
            if position and (encoding := _of_meta(attributes)) is not None:
                return encoding
        elif in_head and name not in _HEAD:
            break
        else:
            if not found[2]:
                position = _attributes(body, found.end(1), end)[0]
            if in_head and name in _RAW and position:
                closing = _RAW_END[name].search(body, position, end)
                position = closing.end() if closing else 0
        if not position:
            break
    return None


def _behind_other(body: bytes, start: int, end: int) -> int:
    """Where a comment, a closing tag or the like ends; 0 if nowhere."""
    if body.startswith(b"<!--", start):
        found = _COMMENT_END.search(body, start + 2, end)
        return found.end() if found else 0
    return body.find(b">", start, end) + 1


def _attributes(body: bytes, start: int, end: int) -> tuple[int, dict[bytes, str]]:
    """Where a tag ends, 0 if nowhere, and its attributes with names in lower case."""
    found = dict[bytes, str]()
    while pair := _PAIR.match(body, start, end):
        start = pair.end()
        value = pair[2] or b""
        found.setdefault(
            pair[1].lower(), value.strip(value[:1] if value[:1] in (b"'", b'"') else b"").decode("latin-1")
        )
    closing = _TAG_END.match(body, start, end)
    return closing.end() if closing else 0, found


def _of_meta(attributes: dict[bytes, str]) -> Encoding | None:
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", "").lower() == "content-type":
        found = _IN_CONTENT.search(attributes.get(b"content", ""))
        label = next(filter(None, found.groups()), None) if found else None
    encoding = None if label is None else labelled(label)
    return WINDOWS_1252 if encoding is USER_DEFINED else _without_utf_16(encoding)


def _without_utf_16(encoding: Encoding | None) -> Encoding | None:
    # Who could read the declaration was not reading UTF-16.
    return UTF_8 if encoding is not None and encoding.name.startswith("utf-16") else encoding


def _guessed(body: bytes) -> Encoding:
    """UTF-8, unless more is wrong with it than right: one bad byte is no reason to misread all others."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        # Mostly the first few thousand bytes decide, and counting takes longer than reading.
        start = body[error.start : error.start + _SAMPLE]
        if _wrong(start) > _CLEAR or _wrong(body) > 0:
            # A meta in the body, which a parser may still listen to, is better than a guess.
            return _by_meta(body, _MAX_HEAD) or WINDOWS_1252
    return UTF_8


def _wrong(body: bytes) -> int:
    """How many more places cannot be UTF-8 than letters can."""
    text = body.decode("utf-8", "replace")
    ascii_letters = len(body) - len(body.translate(None, _ASCII))
    wrong = text.count("\ufffd") - body.count(b"\xef\xbf\xbd")
    return 2 * wrong - (len(text) - ascii_letters)
