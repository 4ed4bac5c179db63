"""
The tree of a page: of HTML, or of XML where the content type or the page itself says so.

XML is read for what it says, not judged: unclosed tags, bare ampersands and names of HTML's entities are forgiven. Its
document type is cut off before anybody reads it, so that it declares no entity, names no file and fills no memory.
"""

import re
import zlib
from html import escape
from html.entities import html5

from lxml import etree

from pinpool.selectors import HTML, PREFIXES, Names
from pinpool.spider.encoding import read_type

#: What may be the start of XML: a declaration, a comment in front of it, or a feed or sitemap without a declaration.
_PERHAPS_XML = re.compile(rb"\s*+<(?:\?xml\s|!--|(?:rss|feed|rdf:RDF|urlset|sitemapindex)[\s>])")
_GZIP = b"\x1f\x8b\x08"
_MAX_MEMBERS = 100
_DECLARATION = re.compile(rb"\s*+<\?xml\s")
_UNDECLARED = frozenset({b"rss", b"feed", b"rdf:RDF", b"urlset", b"sitemapindex"})
#: XHTML, and what sites send with a declaration in front of HTML.
_HTML_ROOTS = frozenset(
    b"html head body div span p a table tr td ul ol li section article main nav form script style title meta link h1 h2"
    b" h3 b br img center font".split()
)
_MARKUP = re.compile(rb"<(?=[A-Za-z_:\x80-\xff!?])")
_NAME = re.compile(rb"[A-Za-z_:\x80-\xff][^\s/>]*+")
_DOCTYPE_NAME = re.compile(rb"\s*+([^\s>\[]++)")
_IN_DOCTYPE = re.compile(rb"\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|<!--(?:.*?-->|.*)|<\?(?:.*?\?>|.*)|[\[\]>]", re.DOTALL)
_CONTROLS = bytes({*range(0x20)} - {*b"\t\n\r"})
_REFERENCE = re.compile(
    rb"<!\[CDATA\[(?:.*?\]\]>|.*)|<!--(?:.*?-->|.*)"
    rb"|&(?:(#[0-9]+|#x[0-9a-fA-F]+|amp|lt|gt|quot|apos);|([A-Za-z][A-Za-z0-9]*+);)?",
    re.DOTALL,
)
_NO_PREFIX = re.compile(r"Namespace prefix ([\w.-]+) (?:on|for)\b")


def unpacked(body: bytes, limit: int) -> bytes:
    """
    The content of a file in gzip, as sitemaps are (``sitemap.xml.gz``); anything else as it is. Raises ValueError if it
    has more than `limit` bytes.
    """
    if not body.startswith(_GZIP):
        return body
    content, members = b"", 0
    while body.startswith(_GZIP) and members < _MAX_MEMBERS:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            content += inflater.decompress(body, limit + 1 - len(content))
        except zlib.error:
            return content or body
        if len(content) > limit:
            raise ValueError(f"the content of the gzip file is larger than {limit:,} bytes")
        body, members = inflater.unused_data, members + 1
    return content


def document(body: bytes, content_type: str | None) -> tuple[etree._Element, Names]:
    """
    The root of the tree of a page in UTF-8, and how selectors name its elements. An empty root if there is no document.
    """
    xml = _xml(body, content_type)
    return (_html_tree(body), HTML) if xml is None else _xml_tree(xml)


def _xml(body: bytes, content_type: str | None) -> bytes | None:
    """The root element and all that follows, if the page is XML."""
    declared = read_type(content_type).is_xml
    if not declared and not _PERHAPS_XML.match(body):
        return None
    start, doctype = _root_start(body)
    found = _NAME.match(body, start + 1)
    if found is None or doctype == b"html" or found[0].lower() == b"html":
        return None
    name = found[0]
    if declared or name in _UNDECLARED:
        return body[start:]
    return body[start:] if _DECLARATION.match(body) and name.lower() not in _HTML_ROOTS else None


def _root_start(body: bytes) -> tuple[int, bytes]:
    """Where the root element starts, and the name in the document type; the end, if there is no element."""
    position, doctype = 0, b""
    while found := _MARKUP.search(body, position):
        position = found.start()
        if body.startswith(b"<!--", position):
            end, size = body.find(b"-->", position + 4), 3
        elif body.startswith(b"<?", position):
            end, size = body.find(b"?>", position + 2), 2
        elif body[position : position + 9].upper() == b"<!DOCTYPE":
            name = _DOCTYPE_NAME.match(body, position + 9)
            doctype = name[1].lower() if name else b""
            end, size = _doctype_end(body, position + 9), 1
        elif body.startswith(b"<!", position):
            end, size = position, 1
        else:
            return position, doctype
        if end < 0:
            break
        position = end + size
    return len(body), doctype


def _doctype_end(body: bytes, position: int) -> int:
    is_inside = False
    for token in _IN_DOCTYPE.finditer(body, position):
        if token[0] == b"[":
            is_inside = True
        elif token[0] == b"]":
            is_inside = False
        elif token[0] == b">" and not is_inside:
            return token.start()
    return -1


def _html_tree(body: bytes) -> etree._Element:
    # With UTF-8 bytes and a given encoding libxml2 ignores every declaration, in meta or XML, and never refuses one.
    # huge_tree lifts the limits of 10 MB and 255 levels: bodies are limited when they are fetched. It drops what is
    # nested deeper than 2,048 levels, and all that follows.
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True)
    return _parsed(body, parser)


def _xml_tree(body: bytes) -> tuple[etree._Element, Names]:
    body = body.translate(None, _CONTROLS).replace(b"\xef\xbf\xbe", b"").replace(b"\xef\xbf\xbf", b"")
    parser = _xml_parser()
    root = _parsed(body, parser)
    if len(parser.error_log) and (mended := _mended(body, [str(error.message) for error in parser.error_log])) != body:
        root = _parsed(mended, _xml_parser())
    return root, _named(root)


def _xml_parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8", recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
    )


def _parsed(body: bytes, parser: etree.HTMLParser | etree.XMLParser) -> etree._Element:
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        root = None
    # An empty document raises or gives None, depending on the version.
    return etree.Element("html") if root is None else root


def _mended(body: bytes, errors: list[str]) -> bytes:
    """XML whose references and prefixes are all declared."""
    prefixes = {found[1] for error in errors if (found := _NO_PREFIX.match(error))}
    name = _NAME.match(body, 1)
    if prefixes and name is not None:
        spaces = "".join(f' xmlns:{prefix}="{PREFIXES.get(prefix, prefix)}"' for prefix in sorted(prefixes))
        body = body[: name.end()] + spaces.encode() + body[name.end() :]
    return _REFERENCE.sub(_reference, body)


def _reference(found: re.Match[bytes]) -> bytes:
    if found[0][:1] == b"<" or found[1]:
        return found[0]
    letters = html5.get(f"{found[2].decode()};", "") if found[2] else ""
    return escape(letters).encode() if letters else b"&amp;" + found[0][1:]


def _named(root: etree._Element) -> Names:
    """
    Take the namespaces away that the document does not write in front of its names: that of the root, and those that
    are a default somewhere. `Names` knows these, and the prefixes of the others.
    """
    prefixes, bare = dict[str, str](), set[str]()
    for prefix, uri in root.nsmap.items():
        if prefix is not None:
            prefixes[prefix] = uri
    if root.tag[:1] == "{":
        bare.add(root.tag[1:].partition("}")[0])
    for element in root.iter(etree.Element):
        if element.tag[0] == "{":
            uri = element.tag[1:].partition("}")[0]
            if element.prefix is None:
                bare.add(uri)
            else:
                prefixes.setdefault(element.prefix, uri)
    for uri in bare:
        for element in root.iter(f"{{{uri}}}*"):
            element.tag = element.tag.rpartition("}")[2]
    return Names(prefixes, frozenset(bare))
