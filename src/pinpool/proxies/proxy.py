"""A proxy, and a list of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import quote

SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """
    One entry of a list: its five parts together, so two accounts on one host and port are two proxies.

    `username` and `password` are decoded, and empty where there are none. `host` is lower case, IPv6 without
    brackets. `twin` tells apart the labels of proxies that differ in the password alone; it is no part of the
    identity.
    """

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    twin: int = field(default=1, compare=False)

    @property
    def url(self) -> str:
        """What a connection needs, password included and percent-encoded. Never to be shown."""
        if not self.username:
            return f"{self.scheme}://{self._place}"
        # The colon stays when there is no password: without it, requests sends no user either.
        secret = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{secret}@{self._place}"

    @property
    def label(self) -> str:
        """
        The printable name, without the password: ``socks5h://alice@10.0.0.7:1080``.

        A user name that needs no password is an API key as a rule, so it is shown as ``***`` (but for socks4,
        whose user names are no secrets). Any printable character may be in it: a face escapes it like any
        other text.
        """
        return self._name if self.twin == 1 else f"{self._name} ({self.twin})"

    def fingerprint(self, salt: bytes) -> str:
        """
        Four hex digits over the five parts, which tell two passwords of one label apart from run to run.

        `salt` is at most 64 bytes, random, and kept with the run. Short on purpose: a changed password is
        noticed in 65,535 of 65,536 cases, while to somebody who has salt and fingerprint one in 65,536 of all
        guesses fits, which is hundreds in any large dictionary, so that no guess can be confirmed.
        """
        parts = (self.scheme, self.host, str(self.port), self.username, self.password)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=2, key=salt).hexdigest()

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<Proxy {self.label}>"

    @property
    def _place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def _name(self) -> str:
        if not self.username:
            return f"{self.scheme}://{self._place}"
        user = self.username if self.password or self.scheme == "socks4" else "***"
        return f"{self.scheme}://{user}@{self._place}"


@dataclass(frozen=True, slots=True)
class ProxyList:
    """
    The proxies of a list, in its order, all different; `notes` are lines to show that stop nothing.

    `entries` are the same proxies as they stand in the list, ranges expanded, passwords included.
    """

    proxies: tuple[Proxy, ...]
    notes: tuple[str, ...] = ()
    entries: tuple[str, ...] = field(default=(), repr=False, compare=False)
