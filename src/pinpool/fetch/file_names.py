"""
The names of downloaded files. Pure functions.

A name comes from a spider, a site or a URL, so from strangers. Whatever it is, the result is one file name that every
system takes: no folder, nothing hidden, nothing that Windows reserves, at most 200 bytes.
"""

import mimetypes
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import unquote, unquote_to_bytes, urlsplit

MAX_BYTES = 200  # of a name in UTF-8: systems allow 255, and a suffix may follow
_MAX_ENDING = 20
NAMELESS = "file"

_ENDING = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]{1,12}\Z")
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\Z", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(filename\*?)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.IGNORECASE)
#: Python's own table, whatever this machine has in its files.
_NAMED = mimetypes.MimeTypes()
#: Endings that Python does not know, or gets wrong, on some systems.
_ENDINGS = {
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/gzip": ".gz",
    "application/xml": ".xml",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "text/plain": ".txt",
    "text/html": ".html",
}


def file_name(wanted: str | None, url: str, asked: str, headers: Mapping[str, str], type: str) -> str:
    """
    The name for a file: the `wanted` one, or that of its Content-Disposition, or the end of its URL, with an ending
    for its content `type` if it has none. `url` is where it came from, `asked` where it was asked for.
    """
    names = (wanted, _disposition(headers.get("content-disposition", "")), _last_part(url), _last_part(asked))
    named = [safe for safe in map(safe_name, filter(None, names)) if safe != NAMELESS]
    # One with an ending tells more: /download redirects to /files/report.pdf, or the other way round.
    best = named[0] if named else NAMELESS
    if wanted is None and not _ENDING.search(best):
        best = next((name for name in named if _ENDING.search(name)), best)
    if not _ENDING.search(best):
        best = safe_name(best + _ending_of(type))
    return best


def safe_name(text: str) -> str:
    """`text` as a file name that is safe everywhere; ``file`` if nothing is left of it."""
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", text))
    text = "".join(letter if letter.isprintable() else "_" for letter in text)
    # Windows drops dots and blanks at the end. A dot in front hides the file, a hyphen makes it an option.
    text = text.rstrip(" .").lstrip(" .-")
    if not text.strip("_ ."):
        return NAMELESS
    stem, dot, rest = text.partition(".")
    if _RESERVED.match(stem.strip()):
        text = f"_{stem}{dot}{rest}"
    return _shortened(text)


def candidates(name: str, key: bytes) -> Iterator[str]:
    """`name`, and what to call the file if that is taken, without end. `key` is that of its task."""
    yield name
    stem, ending = _split(name)
    for length in (8, len(key) * 2):
        yield f"{stem}-{key.hex()[:length]}{ending}"
    number = 2
    while True:
        yield f"{stem}-{key.hex()}-{number}{ending}"
        number += 1


def folded(name: str) -> str:
    """The same for all names that some system takes for one: in upper or lower case, composed or not."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _disposition(header: str) -> str | None:
    """The file name in a Content-Disposition header (RFC 6266), which was read as Latin-1."""
    found = {name.lower(): value.strip() for name, value in reversed(_PARAMETER.findall(f";{header}"))}
    if extended := found.get("filename*"):
        charset, _, rest = extended.strip('"').partition("'")
        _, quote, value = rest.partition("'")
        if quote and charset.lower() in ("utf-8", "iso-8859-1"):
            return unquote(value, charset, "replace")
    name = found.get("filename", "")
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name.strip('"'))
    with suppress(UnicodeError):
        name = name.encode("latin-1").decode("utf-8")  # sites write UTF-8
    # Browsers decode percent signs here too. A path is cut down to its last part.
    name = unquote(name) if "%" in name else name
    return re.split(r"[/\\]", name)[-1] or None


def _last_part(url: str) -> str | None:
    path = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return unquote_to_bytes(path).decode("utf-8", "replace") or None


def _ending_of(type: str) -> str:
    return _ENDINGS.get(type) or _NAMED.guess_extension(type) or ""


def _split(name: str) -> tuple[str, str]:
    found = _ENDING.search(name)
    return (name[: found.start()], found[0]) if found and found.start() else (name, "")


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, ending = _split(name)
    ending = ending if len(ending) <= _MAX_ENDING else ""
    cut = stem.encode()[: MAX_BYTES - len(ending)].decode("utf-8", "ignore")
    return cut.rstrip(" .") + ending
