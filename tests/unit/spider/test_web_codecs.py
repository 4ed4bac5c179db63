"""The encodings of the web, compared with the tables of the Encoding Standard."""

from __future__ import annotations

import pytest
from webencodings.labels import LABELS

from pinpool.spider.web_codecs import labelled, read

#: Labels that make a browser show nothing, and what is done with them here: where Python knows it, it is read.
REPLACEMENT = {
    "hz-gb-2312": "hz",
    "iso-2022-kr": "iso2022_kr",
    "csiso2022kr": "iso2022_kr",
    "iso-2022-cn": None,
    "iso-2022-cn-ext": None,
    "replacement": None,
}


def letters(name: str, data: bytes) -> str:
    encoding = labelled(name)
    assert encoding is not None
    return read(data, encoding.name)


def sent(name: str, text: str) -> bytes:
    encoding = labelled(name)
    assert encoding is not None
    return text.encode(encoding.sent_in, "xmlcharrefreplace")


def test_every_label_of_the_standard_names_an_encoding() -> None:
    """Rule: case and white space around do not count. The table has 228 labels of 40 encodings."""
    assert (len(LABELS), len({*LABELS.values()})) == (228, 40)

    for label, name in LABELS.items():
        found = labelled(f"\t{label.upper()} ")

        if name == "replacement":
            assert (found and found.name) == REPLACEMENT[label]
        else:
            assert found is not None and found == labelled(name)


@pytest.mark.parametrize(
    ("labels", "text", "data"),
    [
        ("koi8 koi koi8_r cskoi8r", "Привет", "koi8-r"),
        ("koi8-ru koi8-u", "Київ", "koi8-u"),
        ("x-cp1251 cp1251", "Привет", "cp1251"),
        ("latin1 ascii l1 iso88591 us-ascii x-cp1252 cp819", "“café” €", "cp1252"),
        ("latin5 iso88599 x-cp1254", "ğış", "cp1254"),
        ("iso-8859-8-i logical csiso88598i visual", "שלום", "iso8859-8"),
        ("mac x-mac-roman csmacintosh", "café", "mac-roman"),
        ("x-mac-ukrainian", "Привет", "mac-cyrillic"),
        ("tis-620 dos-874 iso885911", "ไทย", "cp874"),
        ("windows-949 korean ksc_5601 cseuckr ks_c_5601-1989", "똠방각하", "cp949"),
        ("x-gbk gb2312 chinese iso-ir-58 gb_2312", "京都镕", "gbk"),
        ("x-euc-jp cseucpkdfmtjapanese", "日本語", "euc_jp"),
        ("x-sjis ms932 windows-31j csshiftjis", "日本語①", "cp932"),
        ("cn-big5 x-x-big5 big5-hkscs csbig5", "中文", "big5"),
        ("utf-16 unicode ucs-2 csunicode iso-10646-ucs-2 unicodefeff", "é京", "utf-16-le"),
        ("unicodefffe utf-16be", "é京", "utf-16-be"),
        ("unicode-1-1-utf-8 x-unicode20utf8 utf8", "é京", "utf-8"),
        ("sun_eu_greek ecma-118 greek8", "ΑΒΓ", "iso8859-7"),
    ],
)
def test_a_page_is_read_by_any_label_of_its_encoding(labels: str, text: str, data: str) -> None:
    for label in labels.split():
        assert letters(label, text.encode(data)) == text, label


@pytest.mark.parametrize(
    "label", ["", "klingon", "utf-7", "utf-32", "zlib", "idna", "cp437", "unicode_escape", "ütf-8"]
)
def test_what_the_standard_does_not_know_is_no_label(label: str) -> None:
    assert labelled(label) is None


@pytest.mark.parametrize("name", ["windows-874", *(f"windows-{number}" for number in range(1250, 1259))])
def test_a_control_character_of_windows_is_read_and_sent_back(name: str) -> None:
    """Rule: Python's codecs refuse the bytes that Microsoft left out; browsers read them as U+0080 to U+009F."""
    for byte in bytes(range(0x80, 0xA0)):
        letter = letters(name, bytes([byte]))

        assert letter != "\ufffd"
        assert sent(name, letter) == bytes([byte])


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("euc-jp", "日本 ～－①㈱纊", b"\xc6\xfc\xcb\xdc \xa1\xc1\xa1\xdd\xad\xa1\xad\xea\xf9\xa1"),
        ("shift_jis", "日本 ～－①㈱纊", b"\x93\xfa\x96{ \x81`\x81|\x87@\x87\x8a\xfa\\"),
        ("gbk", "京都€ \ue4c6", b"\xbe\xa9\xb6\xbc\x80 \xa1@"),
        ("gb18030", "京ḿ︐", b"\xbe\xa9\xa8\xbc\xa6\xd9"),
        ("euc-kr", "한글 똠", b"\xc7\xd1\xb1\xdb \x8cc"),
        ("big5", "中文‧￥€", b"\xa4\xa4\xa4\xe5\xa1E\xa2D\xa3\xe1"),
        ("iso-2022-jp", "日本～x", b"\x1b$BF|K\\!A\x1b(Bx"),
        ("koi8-ru", "ў", b"\xae"),
    ],
)
def test_letters_of_several_bytes_are_read_and_sent_as_browsers_do(name: str, text: str, data: bytes) -> None:
    assert letters(name, data) == text
    assert sent(name, text) == data


def test_what_only_can_be_read_is_read() -> None:
    assert letters("iso-2022-jp", b"\x1b$B-!\x1b(I1\x1b(B") == "①ｱ"
    assert letters("gbk", b"\xa3\xa0\x81\x30\x8b\x37") == "\u3000ÿ"
    assert letters("x-user-defined", b"a\x80\xff") == "a\uf780\uf7ff"


@pytest.mark.parametrize("name", ["euc-jp", "shift_jis", "gbk", "big5", "euc-kr"])
def test_a_cut_letter_swallows_no_tag(name: str) -> None:
    assert letters(name, b"a\x81<p>") == "a\ufffd<p>"


@pytest.mark.parametrize(
    "name", ["windows-1251", "koi8-u", "gbk", "big5", "shift_jis", "euc-jp", "euc-kr", "iso-2022-jp"]
)
def test_what_an_encoding_lacks_is_sent_as_a_reference(name: str) -> None:
    assert sent(name, "a\U0001f600b") == b"a&#128512;b"


def test_what_a_page_is_not_read_in_is_sent_as_utf_8() -> None:
    assert sent("utf-16", "é") == sent("utf-8", "é") == sent("hz-gb-2312", "é") == b"\xc3\xa9"
    assert sent("x-user-defined", "é") == b"&#233;"
