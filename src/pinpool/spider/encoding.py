"""The encoding of a page, found as a browser finds it."""

from w3lib.encoding import html_to_unicode, resolve_encoding, to_unicode


def decode(body: bytes, content_type: str | None, override: str | None) -> tuple[str, str]:
    """
    The name of the encoding, and the text without byte order mark and NULs. What cannot be read is U+FFFD.

    `override` wins over the byte order mark, the header and the page itself.
    """
    try:
        if override:
            encoding = resolve_encoding(override) or override
            text = to_unicode(body, encoding).removeprefix("\ufeff")
        else:
            encoding, text = html_to_unicode(content_type, body, auto_detect_fun=_guess)
        if encoding.endswith("unicode-escape"):
            raise LookupError("an encoding of Python's source code, not of pages")
    except (LookupError, ValueError):
        # Some of Python's codecs are not for text (charset=zlib), or refuse to replace (charset=idna).
        encoding = _guess(body)
        text = to_unicode(body, encoding)
    # The body is searched faster than the text. In UTF-16 every other byte is a NUL, of which the text has none.
    return encoding, text.replace("\0", "") if encoding != "utf-8" or b"\0" in body else text


def _guess(body: bytes) -> str:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
