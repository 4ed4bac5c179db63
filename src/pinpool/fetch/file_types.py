"""
What a downloaded file is: by its first bytes, by what the site declares, and by its name. Pure functions.

A site may call a PDF text/html, and a block page may come under the name report.pdf. The bytes decide where they can.
"""

import mimetypes
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

#: So many bytes are enough to tell a type.
HEAD_BYTES = 1024
UNKNOWN = "application/octet-stream"
HTML = "text/html"

#: At the start of a file; the bytes of a PDF may come after others.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body|script|iframe|title|h1|div|font|table|br|p)"
    rb"[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
#: Types that hold others: what is declared says more than these bytes do.
_CONTAINERS: Mapping[str, str] = {
    "application/zip": r"application/(?:zip|x-zip.*|epub\+zip|java-archive|vnd\..*|x-.*)|image/.*|model/.*",
    "application/gzip": r"application/(?:gzip|x-gzip|x-g?tar|x-compressed.*|x-tgz)|image/svg\+xml.*",
    "application/x-ole-storage": r"application/.*",
    "application/ogg": r"(?:audio|video|application)/.*",
    "application/postscript": r"application/.*|image/.*",
    "application/pdf": r"application/(?:pdf|x-pdf|illustrator|postscript)",
}
_ALIASES = {
    "application/x-gzip": "application/gzip",
    "application/x-zip-compressed": "application/zip",
    "application/x-pdf": "application/pdf",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "application/xhtml+xml": HTML,
    "application/x-rar-compressed": "application/vnd.rar",
}
#: Declared for files whose type a server does not know.
_VAGUE = {"", UNKNOWN, "binary/octet-stream", "application/download", "application/force-download"}
#: What comes in place of a file: block pages, logins, errors.
_IN_PLACE = {HTML, "text/plain", "application/json", "text/xml", "application/xml"}
#: Python's own table, whatever this machine has in its files.
_NAMED = mimetypes.MimeTypes()
#: Files of these kinds are pages themselves, or may begin like one.
_LIKE_PAGES = re.compile(r"text/.*|application/(?:.*xml|json|javascript|octet-stream|x-httpd-.*)|message/.*|.*\+xml")


def type_of(declared: str, head: bytes, names: Collection[str]) -> str:
    """The content type of a file: `declared` by the site, beginning with `head`, with such `names`."""
    declared = _plain(declared)
    seen = seen_type(head)
    if seen and (pattern := _CONTAINERS.get(seen)) and re.fullmatch(pattern, declared):
        return declared
    if seen and not (seen == HTML and _LIKE_PAGES.fullmatch(declared) and declared not in _VAGUE):
        return seen
    if declared not in _VAGUE:
        return declared
    guessed = [type for type in map(named_type, names) if type]
    return guessed[0] if guessed and seen is None else declared or UNKNOWN


def why_wrong(type: str, wanted: Collection[str], names: Collection[str]) -> str:
    """
    What is wrong with a file of this content type; empty if nothing is.

    It must be one of `wanted`. With none of these, a page in place of what the name promises is wrong: that is how
    sites show a block page or a login.
    """
    if wanted:
        if any(_matches(type, one) for one in wanted):
            return ""
        return f"the file is {type}, not {' or '.join(wanted)}"
    promised = [found for found in map(named_type, names) if found]
    if type in _IN_PLACE and promised and not any(_LIKE_PAGES.fullmatch(one) for one in promised):
        return f"the site sent {type} in place of the file, {promised[0]} by its name"
    return ""


def seen_type(head: bytes) -> str | None:
    """The content type that the first bytes of a file show, if they show one."""
    for magic, type in _MAGIC:
        if head.startswith(magic):
            return type
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return "image/heic" if head[8:12] in (b"heic", b"mif1") else "video/mp4"
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if _HTML.match(head):
        return HTML
    return "application/pdf" if b"%PDF-" in head[:HEAD_BYTES] else None


def named_type(name: str) -> str | None:
    """The content type that a name, or the path of a URL, promises."""
    path = urlsplit(name).path if "://" in name else name
    type, coding = _NAMED.guess_type(path.rpartition("/")[2], strict=False)
    return {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(
        coding or "", _plain(type or "") or None
    )


def _matches(type: str, wanted: str) -> bool:
    wanted = _plain(wanted)
    if wanted.endswith("/*"):
        return type.startswith(wanted[:-1])
    # A file without a mark of its own, declared vaguely, may be what is wanted.
    return type in (wanted, UNKNOWN)


def _plain(declared: str) -> str:
    type = declared.partition(";")[0].strip().lower()
    return _ALIASES.get(type, type)
