"""Which pages are read as XML, and how: feeds, sitemaps, price lists, and what hostile sites make of them."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.page import Page
from pinpool.tasks import request

URL = "https://site.example/feeds/1"


def page(body: bytes | str, content_type: str | None = "application/xml") -> Page:
    content = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    headers = {"content-type": content_type} if content_type else {}
    return Page(request(URL), Fetched(URL, 200, headers, content, 0.1, len(content)), Settings())


RSS = """<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/"
 xmlns:ht="https://trends.example/"><channel><atom:link href="/feeds/2" rel="next"/><item>
 <title><![CDATA[Fish & <b>chips</b>]]></title><link>/film/1</link><pubDate>Wed, 21 Oct 2037</pubDate>
 <media:title>other</media:title><media:content url="a.jpg"/><ht:visits>7</ht:visits>
 <guid isPermaLink="false">x</guid></item></channel></rss>"""


# Which pages are XML


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        ("application/rss+xml", ""),
        ("text/xml; charset=utf-8", ""),
        ("Application/Atom+XML", "<!-- feed --> "),
        ("image/svg+xml", ""),
        ("text/html", '<?xml version="1.0"?>'),
        ("text/plain", "\ufeff \n<?xml version='1.0'?><!-- x --><?style y?>"),
        (None, '<?xml version="1.0" encoding="utf-16"?>'),
        ("text/html; charset=utf-8", ""),
        ("application/octet-stream", "<!-- made by hand -->\n"),
        ("application/xml", "<!DOCTYPE rss PUBLIC '-//Netscape//DTD RSS 0.91//EN' 'http://my.example/rss.dtd'>"),
    ],
)
def test_a_feed_is_xml_by_its_type_its_declaration_or_its_root(content_type: str | None, start: str) -> None:
    feed = page(start + RSS, content_type)

    assert feed.first("//item/link/text()") == "/film/1"
    assert feed.all("//pubDate") == ["Wed, 21 Oct 2037"]
    assert feed.first("//title/text()") == "Fish & <b>chips</b>"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", "<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x' 'y'><HTML><p>x<br><p>y"),
        (
            "application/xhtml+xml",
            "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><p>x<br/></p><p>y</p>",
        ),
        ("text/html", "<?xml version='1.0'?><div><P>x<br></P><p>y</p></div>"),
        ("text/xml", "<!doctype HTML><P>x<p>y"),
        ("text/html", "<!-- rss --><p>x<p>y"),
        ("text/html", "<p>x<p>y<pre><?xml version='1.0'?><rss/></pre>"),
        ("text/xml", "<html><p>x<p>y"),
    ],
)
def test_html_stays_html_whatever_is_in_front_of_it(content_type: str, body: str) -> None:
    assert page(body, content_type).all("//p") == ["x", "y"]


@pytest.mark.parametrize(
    "body", ["", " ", "<", "no markup", "<!-- -->", "<!DOCTYPE x [", "<?xml version='1.0'?>", "<a"]
)
def test_no_document_is_an_empty_one(body: str) -> None:
    empty = page(body)

    assert empty.all("//link") == []
    assert list(empty.tasks("//link", "detail")) == []


def test_a_sitemap_that_is_a_gzip_file_is_unpacked() -> None:
    sitemap = b"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>/1</loc></url></urlset>"
    packed = gzip.compress(sitemap[:20]) + gzip.compress(sitemap[20:])
    read = page(packed, "application/x-gzip")

    assert read.body == packed
    assert [task.url for task in read.details("//loc")] == ["https://site.example/1"]
    assert page(packed[:40], "application/x-gzip").text == sitemap[:20].decode()
    assert page(b"\x1f\x8b\x08 no gzip").all("//loc") == []


def test_a_gzip_file_fills_no_memory() -> None:
    with pytest.raises(ValueError, match="larger than 5,000,000 bytes"):
        _ = page(gzip.compress(bytes(6_000_000))).text


def test_deep_and_long_xml_is_read_to_its_end() -> None:
    read = page("<a>" + "<b>" * 1000 + "x" * 11_000_000 + "</b>" * 1000 + "<end>y</end></a>")

    assert len(read.select("//b")) == 1000
    assert read.all("//end") == ["y"]


# Selectors


def test_css_works_on_xml_with_the_case_of_its_names() -> None:
    feed = page(RSS)

    assert feed.all("item > pubDate::text") == ["Wed, 21 Oct 2037"]
    assert feed.all("guid[isPermaLink=false]") == ["x"]
    assert feed.all("media|content::attr(url)") == ["a.jpg"]
    assert page("<List><Option/><Name>Nut</Name></List>").all("List > Option + Name") == ["Nut"]


@pytest.mark.parametrize(
    "body",
    [
        "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>/1</loc></url></urlset>",
        "<s:urlset xmlns:s='http://www.sitemaps.org/schemas/sitemap/0.9'><s:url><s:loc>/1</s:loc></s:url></s:urlset>",
        "<urlset><url xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><loc>/1</loc></url></urlset>",
        "<urlset><url><loc>/1</loc></url></urlset>",
    ],
)
def test_names_without_a_prefix_are_found_whatever_their_namespace(body: str) -> None:
    assert page(body).all("//url/loc/text()") == ["/1"]
    assert page(body).all("url > loc") == ["/1"]


def test_names_with_a_prefix_are_found_by_that_of_the_page_or_a_usual_one() -> None:
    feed = page(RSS)

    assert feed.all("//item/title/text()") == ["Fish & <b>chips</b>"]
    assert feed.all("//media:title") == ["other"]
    assert feed.all("//ht:visits[. = 'a:b' or 1]") == ["7"]
    assert feed.all("//channel/link") == []
    assert feed.all("//atom:link/@rel") == ["next"]
    assert page(RSS.replace("media", "m")).all("//media:content/@url") == ["a.jpg"]
    assert feed.all("//dc:creator | //nobody:knows") == []
    assert feed.all("//guid[re:test(., '^x$')]") == ["x"]


def test_a_prefix_may_also_be_written_where_the_page_has_none() -> None:
    atom = page("<feed xmlns='http://www.w3.org/2005/Atom'><entry xml:lang='de'><id>a:b</id></entry></feed>")

    assert atom.all("//atom:entry/child::atom:id[. = 'a:b']") == ["a:b"]
    assert atom.all("//entry/id") == ["a:b"]
    assert atom.all("//entry/@xml:lang") == ["de"]


def test_a_prefix_finds_nothing_in_html() -> None:
    """A feed's spider may get a block page, and that is no mistake of its own."""
    assert page("<html><p>blocked", "text/html").all("//media:content") == []


# Links


def test_the_text_of_an_element_is_a_link_too() -> None:
    feed = page(RSS)

    assert [task.url for task in feed.details("//item/link")] == ["https://site.example/film/1"]
    assert [task.url for task in feed.more("//atom:link")] == ["https://site.example/feeds/2"]
    with pytest.raises(ValueError, match="<channel>, which is not a link"):
        list(feed.details("//channel"))


def test_xml_base_counts_and_an_element_named_base_does_not() -> None:
    body = "<feed xml:base='/blog/'><base href='/wrong/'/><entry><link href='x'/></entry></feed>"

    assert [task.url for task in page(body).details("//link")] == ["https://site.example/blog/x"]
    assert page(body.replace("xml:base='/blog/'", "")).task("x").url == "https://site.example/feeds/x"


# Mistakes and malice


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<a><b>Fish & chips</b></a>", "Fish & chips"),
        ("<a><b>caf&eacute;&nbsp;&unknown; &lt; &#x41;</b></a>", "café &unknown; < A"),
        ("<a><b><![CDATA[x &nbsp; y]]> &copy;</b></a>", "x &nbsp; y ©"),
        ("<a><c:d>1</c:d><b>x</b></a>", "x"),
        ("<a><b>x</b><c>", "x"),
        ("<a><b>x\x01\x0b\ufffe\0y</b></a>", "xy"),
        ("<a><b>京x\udce9y</b></a>", "京x\ufffdy"),
        ("<a><b>&LT;&AMP;</b></a>", "<&"),
    ],
)
def test_what_is_not_well_formed_is_read_as_it_is_meant(body: str, text: str) -> None:
    assert page(body).all("//b") == [text]


def test_a_prefix_that_nobody_declares_is_the_usual_one() -> None:
    assert page("<rss><media:content url='a.jpg'/></rss>").all("//media:content/@url") == ["a.jpg"]


def test_entities_are_neither_expanded_nor_read_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    subset = f"""<!ENTITY file SYSTEM "{secret.as_uri()}"><!ENTITY % more SYSTEM '{secret.as_uri()}'>%more;
        <!-- ]> ' --><!ENTITY text "s3cret>"><?x ]> ?><!ATTLIST a b CDATA "s3cret">"""

    hostile = page(
        f"<?xml version='1.0'?><!-- x --><!DOCTYPE a SYSTEM '{secret.as_uri()}'><!DOCTYPE a [{subset}]>"
        f"<a c='&text;'>&file;&text;<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' parse='text'"
        f" href='{secret.as_uri()}'/></a>"
    )

    assert hostile.select("local-name(/*)") == ["a"]
    assert "s3cret" not in "".join(hostile.all("//* | //@*"))
    assert hostile.all("//@c") == ["&text;"]


@pytest.mark.parametrize("where", ["<a b='{}'/>", "<a>{}</a>"])
def test_entities_that_grow_fill_no_memory(where: str) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "{"x" * 1000}">{entities}]>' + where.format("&e11;" * 100)

    tracemalloc.start()
    try:
        found = page(bomb).all("//a | //@b")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "x" * 9 not in "".join(found)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "piece", ["<![CDATA[", "<!--", "&", "&;", "<!DOCTYPE", "<?", "<a:b ", "]]>", "<!DOCTYPE a '", "<"]
)
@pytest.mark.parametrize("start", ["", "<rss>"])
def test_a_page_that_tries_to_be_slow_is_read_once(piece: str, start: str) -> None:
    assert page(start + piece * 20_000, "text/xml").all("//link") == []


@given(st.lists(st.sampled_from(["<a>", "</a>", " [", "]>", "'", '"', "<!ENTITY x 'y'>", "&x;", "&", "<x:y z='", ">"])))
def test_no_entity_is_ever_declared(parts: list[str]) -> None:
    tree: Any = page(f"<!DOCTYPE a [<!ENTITY x 'y'>{''.join(parts)}]><a>&x;</a>").root.getroottree()

    types = tree.docinfo.internalDTD
    assert types is None or list(types.iterentities()) == []
