"""
No password in any log: replaces the secrets of a list of proxies by ``***``.

A list may hold a hundred thousand of them and a run may log for hours, so the work for a text depends only on its own
length: a whole secret is compared only where the next four characters are its beginning.
"""

import base64
import html
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from urllib.parse import quote, quote_plus

from pinpool.proxies.proxy import Proxy

_HEAD = 4
#: Characters that every spelling leaves as they are.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
_PERCENT = re.compile(r"%[0-9A-F]{2}")


class Redaction:
    """
    Removes every password of a list from texts: as it is, as URLs, JSON, HTML and Python spell it, and in Basic logins.
    A user name without a password is an API key, and counts as a password.

    A password of fewer than four characters is removed only between a colon and an ``@``.
    """

    def __init__(self, proxies: Iterable[Proxy]) -> None:
        self._proxies = tuple(proxies)

    def learn(self, proxies: Iterable[Proxy]) -> None:
        """Remove the secrets of these proxies too."""
        self._proxies += tuple(proxies)
        self.__dict__.pop("_by_head", None)

    @cached_property
    def _by_head(self) -> dict[str, list[str]]:
        """The secrets by their first characters. Built for the first text: most runs log nothing."""
        secrets = {secret for proxy in self._proxies for secret in spellings(proxy)}
        by_head: dict[str, list[str]] = {}
        for secret in sorted(secrets, key=len, reverse=True):  # of two that match, the longer one
            by_head.setdefault(secret[:_HEAD], []).append(secret)
        return by_head

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        by_head, place, copied = self._by_head, 0, 0
        parts: list[str] = []
        while place < len(text):
            for secret in by_head.get(text[place : place + _HEAD], ()):
                if text.startswith(secret, place):
                    parts += (text[copied:place], "***")
                    copied = place = place + len(secret)
                    break
            else:
                place += 1
        return "".join([*parts, text[copied:]]) if parts else text


def message_of(record: logging.LogRecord) -> str:
    """The message of a record. Arguments that do not fit are mentioned in it, and never raise."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  whatever the arguments do
        return f"{record.msg!r} (its arguments do not fit)"


def trace_of(record: logging.LogRecord) -> str:
    """The traceback of a record; empty if it has none."""
    if record.exc_info and not record.exc_text:
        return logging.Formatter().formatException(record.exc_info)
    return record.exc_text or ""


@contextmanager
def redacting(redaction: Redaction) -> Iterator[None]:
    """Remove the secrets from all records of every handler that there is now: from message, arguments and traceback."""

    def rewrite(record: logging.LogRecord) -> bool:
        record.msg, record.args = redaction(message_of(record)), None
        record.exc_text = redaction(trace_of(record))
        return True

    handlers = {
        handler
        for logger in (logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict)))
        for handler in logger.handlers
    }
    for handler in handlers:
        handler.addFilter(rewrite)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(rewrite)


def spellings(proxy: Proxy) -> Iterator[str]:
    """The strings that reveal this proxy's password, as other programs may write it; none if it has no password."""
    user, password = proxy.username, proxy.password
    secret = password or (user if proxy.scheme != "socks4" else "")
    if not secret:
        return
    for spelling in {secret} if _PLAIN.fullmatch(secret) else _escaped(secret):
        yield spelling if len(spelling) >= _HEAD else f":{spelling}@"
    for encoding in ("utf-8", "latin-1"):
        login = f"{user}:{password}".encode(encoding, "replace")
        yield from {base64.b64encode(login).decode(), base64.urlsafe_b64encode(login).decode()}


def _escaped(secret: str) -> set[str]:
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return {
        secret,
        *quoted,
        *(_PERCENT.sub(lambda code: code[0].lower(), text) for text in quoted),
        *(spell(secret)[1:-1] for spell in (repr, ascii, json.dumps)),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret.encode())[2:-1],
        html.escape(secret),
        html.escape(secret, quote=False),
    }
