"""
The encodings of the web by their labels (Encoding Standard, 4.2), made of Python's codecs.

Python's codecs differ in a few bytes from what browsers read. The differences that pages have are mended here: control
characters in windows-1252 and its like, NEC's and IBM's additions to EUC-JP and ISO-2022-JP, and the exchanges below.
"""

import codecs
from functools import lru_cache
from typing import Any, NamedTuple

from webencodings.labels import LABELS

#: Forms and queries in these are sent by a codec of this name and the standard's name behind it.
_SENT = "pinpool-web-"
_HANDLER = "pinpool-web"

#: Python's names, where they are not those of the standard.
_PYTHON = {
    **{f"windows-{number}": f"cp{number}" for number in (874, *range(1250, 1259))},
    "ibm866": "cp866",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "euc-kr": "cp949",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
#: To send, browsers use less than they read.
_PYTHON_TO_SEND = {"big5": "cp950", "iso-2022-jp": "iso2022_jp"}
#: Browsers show nothing of these, lest a script hide in them. There are no scripts here.
_REPLACEMENT = {"hz-gb-2312": "hz", "iso-2022-kr": "iso2022_kr", "csiso2022kr": "iso2022_kr"}

_JIS = str.maketrans("〜‖−¢£¬", "～∥－￠￡￢")
#: What Python's codec reads, and what a browser reads instead.
_EXCHANGED: dict[str, dict[int, int]] = {
    "euc_jp": _JIS,
    "iso2022_jp_ext": _JIS,
    "koi8-u": str.maketrans("╝╬", "ўЎ"),
    "big5hkscs": str.maketrans("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡"),
    "gb18030": str.maketrans(
        "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796"
        "\ue7c7\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
        "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19"
        "\u1e3f\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
    ),
}
_PAIRS = {name: [(chr(old), chr(new)) for old, new in table.items()] for name, table in _EXCHANGED.items()}
_TO_SEND = {
    **{name: {new: old for old, new in table.items()} for name, table in _EXCHANGED.items()},
    "gb18030": {new: old for old, new in _EXCHANGED["gb18030"].items() if chr(new) != "\u3000"},
    "euc_jp": str.maketrans("¥‾−", "\\~－"),
    "cp932": str.maketrans("¥‾−", "\\~－"),
    "iso2022_jp_ext": str.maketrans("¥‾～∥－￠￡￢", "\\~〜‖−¢£¬"),
}
_USER_DEFINED = "".join(map(chr, [*range(0x80), *range(0xF780, 0xF800)]))


class Encoding(NamedTuple):
    """
    An encoding that pages may have. `name` is Python's, `sent_in` names the codec for forms and queries: it writes what
    the encoding lacks as ``&#20140;``, as browsers do.
    """

    name: str
    sent_in: str


UTF_8 = Encoding("utf-8", "utf-8")
UTF_16_LE = Encoding("utf-16-le", "utf-8")
UTF_16_BE = Encoding("utf-16-be", "utf-8")
WINDOWS_1252 = Encoding("cp1252", f"{_SENT}windows-1252")
USER_DEFINED = Encoding("x-user-defined", "ascii")


_FIXED = {"utf-8": UTF_8, "utf-16le": UTF_16_LE, "utf-16be": UTF_16_BE, "x-user-defined": USER_DEFINED}


@lru_cache(maxsize=256)
def labelled(label: str) -> Encoding | None:
    """The encoding that a browser takes for this label, None if it does not know it."""
    label = label.strip("\t\n\f\r ").lower()
    name = LABELS.get(label)
    if name == "replacement":
        return Encoding(codec, "utf-8") if (codec := _REPLACEMENT.get(label)) else None
    if name in _FIXED:
        return _FIXED[name]
    if name is None or not label.isascii():
        return None
    python = codecs.lookup(_PYTHON.get(name, name)).name
    return Encoding(python, _SENT + name)


def known_to_python(name: str) -> Encoding | None:
    """The encoding of this name, if only Python knows it. None if it is none, or not for text."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    is_text = getattr(found, "_is_text_encoding", True) and not found.name.endswith("unicode-escape")
    return Encoding(found.name, "utf-8" if found.name.startswith("utf") else found.name) if is_text else None


def read(body: bytes, name: str) -> str:
    """`body` as text by the codec `name` of an `Encoding`. What cannot be read is U+FFFD."""
    if name == "utf-8":
        return body.decode(name, "replace")
    if name == USER_DEFINED.name:
        return codecs.charmap_decode(body, "strict", _USER_DEFINED)[0]
    text = body.decode(name, _HANDLER)
    for old, new in _PAIRS.get(name, ()):
        if old in text:  # much faster than str.translate
            text = text.replace(old, new)
    return text


def _mended(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler: what browsers read, or send, where Python's codec gives up."""
    if isinstance(error, UnicodeDecodeError):
        pair = error.object[error.start : error.start + 2]
        if error.encoding == "charmap" and 0x80 <= pair[0] < 0xA0:
            return chr(pair[0]), error.start + 1
        if error.encoding == "gb18030" and pair[0] == 0x80:
            return "€", error.start + 1
        letter = _added(error.encoding, pair)
        return (letter, error.start + 2) if letter else ("\ufffd", error.end)
    assert isinstance(error, UnicodeEncodeError)
    letter = error.object[error.start]
    is_control = error.encoding == "charmap" and 0x80 <= ord(letter) < 0xA0
    return bytes((ord(letter),)) if is_control else _reference(letter), error.start + 1


def _added(codec: str, pair: bytes) -> str:
    """The letter of two bytes that this codec does not know; empty if browsers do not know it either."""
    if len(pair) < 2:
        return ""
    if codec == "euc_jp" and min(pair) > 0xA0:
        codec, pair = "cp932", _shift_jis(pair[0] - 0x80, pair[1] - 0x80)
    elif codec.startswith("iso2022_jp") and min(pair) > 0x20 and max(pair) < 0x7F:
        codec, pair = "cp932", _shift_jis(*pair)
    elif codec == "big5hkscs":
        codec = "cp950"
    else:
        return ""
    try:
        return pair.decode(codec)
    except UnicodeDecodeError:
        return ""


def _shift_jis(row: int, cell: int) -> bytes:
    """This place of JIS X 0208 in Shift_JIS: NEC's and IBM's additions stand in Python's codec of that only."""
    lead = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
    return bytes((lead, cell + (0x1F + (cell > 0x5F) if row % 2 else 0x7E)))


def _as_euc_jp(letter: str) -> bytes:
    try:
        pair = letter.encode("cp932")
    except UnicodeEncodeError:
        return _reference(letter)
    if len(pair) < 2:
        return letter.encode("euc_jp")
    if pair[0] >= 0xF0:  # beyond the rows that EUC has
        return letter.encode("euc_jp", _HANDLER)
    row = 2 * (pair[0] - (0x70 if pair[0] < 0xA0 else 0xB0)) - (pair[1] < 0x9F)
    cell = pair[1] - (0x7E if pair[1] >= 0x9F else 0x1F + (pair[1] > 0x7F))
    return bytes((row + 0x80, cell + 0x80))


def _as_shift_jis(letter: str) -> bytes:
    found = letter.encode("cp932", _HANDLER)
    return _ibm_letters()[letter] if found[0] in (0xED, 0xEE) else found  # these stand there twice


@lru_cache(maxsize=1)
def _ibm_letters() -> dict[str, bytes]:
    pairs = (bytes((lead, trail)) for lead in (0xFA, 0xFB, 0xFC) for trail in range(0x40, 0xFD) if trail != 0x7F)
    return {letter: pair for pair in pairs if (letter := pair.decode("cp932", "ignore"))}


def _as_gbk(letter: str) -> bytes:
    found = letter.encode("gb18030", "ignore")
    return b"\x80" if letter == "€" else found if 0 < len(found) <= 2 else _reference(letter)


def _reference(letter: str) -> bytes:
    return b"&#%d;" % ord(letter)


def _to_send(name: str) -> codecs.CodecInfo | None:
    """The codecs that `Encoding.sent_in` names, for `codecs.register`."""
    label = _LABELS_SENT.get(name.replace("-", "_"))
    if label is None:
        return None
    python = codecs.lookup(_PYTHON.get(label, label)).name
    exchanged, one_by_one = _TO_SEND.get(python, {}), _ONE_BY_ONE.get(label)

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        spelled = text.translate(exchanged)
        if one_by_one is not None:
            return b"".join(map(one_by_one, spelled)), len(text)
        return spelled.encode(_PYTHON_TO_SEND.get(label, python), _HANDLER), len(text)

    def decode(data: Any, errors: str = "strict") -> tuple[str, int]:
        return read(bytes(data), python), len(data)

    return codecs.CodecInfo(encode, decode, name=name)


_ONE_BY_ONE = {"euc-jp": _as_euc_jp, "shift_jis": _as_shift_jis, "gbk": _as_gbk}
_LABELS_SENT = {f"{_SENT}{label}".replace("-", "_"): label for label in {*LABELS.values()} - {"replacement"}}

codecs.register_error(_HANDLER, _mended)
codecs.register(_to_send)
