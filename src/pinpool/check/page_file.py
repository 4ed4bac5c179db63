"""Pages in files: what `pinpool try --save` writes, and how `--file` reads it."""

from pathlib import Path

from pinpool.errors import UsageError
from pinpool.files import replacing, storing
from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.document import unpacked
from pinpool.spider.encoding import decode, read_type
from pinpool.text import counted, shown_path

_XML_NAMES = (".xml", ".rss", ".atom", ".rdf")
_MARK = b"\xef\xbb\xbf"


def read_page(path: Path, url: str, settings: Settings) -> Fetched:
    """
    The page in a file, as if `url` had answered with it. Its type is taken from the ending, its encoding from itself.

    Raises UsageError if it cannot be read, or is larger than a crawl takes.
    """
    name = shown_path(path)
    try:
        with path.open("rb") as file:
            body = file.read(settings.max_body + 1)
    except OSError as error:
        raise UsageError(f"--file {name}: cannot be read: {error.strerror}") from None
    if len(body) > settings.max_body:
        raise UsageError(
            f"--file {name}: is larger than {settings.max_body:,} bytes, and a crawl would refuse such a page: "
            "cut it, or give the spider a larger max_body"
        )
    kind = _type_by_name(path)
    return Fetched(url, 200, {"content-type": kind} if kind else {}, body, 0.0, len(body))


def refusal_to_save(path: Path) -> str:
    """Why no page can be saved under this name, with the next step; empty if one can."""
    name = shown_path(path)
    if path.exists() or path.is_symlink():
        return f"--save {name}: is there already: move it away, or name another file"
    if not path.absolute().parent.is_dir():
        return f"--save {name}: its folder does not exist: make it, or name another file"
    return ""


def save_page(path: Path, fetched: Fetched, settings: Settings) -> str:
    """
    Write the body of a page, whole or not at all, and never over another file. Returns what was done, for people.

    It is written as it came, unless only the headers told its encoding: then in UTF-8 with a byte order mark, so that
    whoever reads the file reads the same text. Raises UsageError or StorageError.
    """
    body, note = _kept(path, fetched, settings)
    with storing(f"--save {shown_path(path)}", "name another file", UsageError), replacing(path) as part:
        part.write_bytes(body)
        if refused := refusal_to_save(path):  # it has come meanwhile
            raise UsageError(refused)
    if read_type(fetched.headers.get("content-type")).is_xml and path.suffix.lower() not in _XML_NAMES:
        note += "; it came as XML: a name that ends in .xml makes --file read it so"
    return f"saved {shown_path(path)}: {counted(len(body), 'byte')}{note}"


def _kept(path: Path, fetched: Fetched, settings: Settings) -> tuple[bytes, str]:
    """The bytes to write, and what is unusual about them."""
    announced = fetched.headers.get("content-type")
    try:
        content = unpacked(fetched.body, settings.max_body)
    except ValueError:  # a gzip file that is too large
        return fetched.body, ""
    text = decode(content, announced, settings.encoding).text
    if text == decode(content, _type_by_name(path), settings.encoding).text:
        return fetched.body, ""
    encoding = read_type(announced).encoding
    said = f"that it is {encoding.name}" if encoding else "how to read it"
    return _MARK + text.encode("utf-8", "replace"), f", now in UTF-8: only its header said {said}"


def _type_by_name(path: Path) -> str | None:
    return "application/xml" if path.suffix.lower() in _XML_NAMES else None
