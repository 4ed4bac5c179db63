"""A proxy, and a list of them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote

SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """
    One entry of a list. Its five parts together are its identity, so two accounts on one host and port are two proxies.

    `username` and `password` are decoded, and empty if there are none. `host` is lower case, IPv6 without brackets.
    `twin` numbers the labels of proxies that differ in the password alone, and is not part of the identity.
    """

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    twin: int = field(default=1, compare=False)

    @property
    def url(self) -> str:
        """What a connection needs, password included and percent-encoded. Never show it."""
        if not self.username:
            return self._name
        # The colon stays when there is no password: without it, requests sends no user either.
        secret = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{secret}@{self._host_and_port}"

    @property
    def label(self) -> str:
        """
        The printable name, without the password: ``socks5h://alice@10.0.0.7:1080``.

        A user name without a password is usually an API key, so it is shown as ``***`` (except for socks4, whose user
        names are not secret). It may hold any printable character, so whoever shows it escapes it like any other text.
        """
        return self._name if self.twin == 1 else f"{self._name} ({self.twin})"

    def fingerprint(self, salt: bytes) -> str:
        """
        Four hex digits over the five parts, which distinguish two passwords of one label from run to run.

        `salt` is at most 64 bytes, random, and stored with the run. Short on purpose: 65,535 of 65,536 changes of a
        password are noticed, but one in 65,536 guesses matches salt and fingerprint too. That is hundreds in any large
        dictionary, so a thief cannot confirm a guess.
        """
        parts = (self.scheme, self.host, str(self.port), self.username, self.password)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=2, key=salt).hexdigest()

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<Proxy {self.label}>"

    @property
    def _host_and_port(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def _name(self) -> str:
        if not self.username:
            return f"{self.scheme}://{self._host_and_port}"
        user = self.username if self.password or self.scheme == "socks4" else "***"
        return f"{self.scheme}://{user}@{self._host_and_port}"


@dataclass(frozen=True, slots=True)
class ProxyList:
    """
    The proxies of a list, in its order, all different. `notes` are lines to show; they stop nothing.

    `entries` are the same proxies as the list writes them, ranges expanded, passwords included.
    """

    proxies: tuple[Proxy, ...]
    notes: tuple[str, ...] = ()
    entries: tuple[str, ...] = field(default=(), repr=False, compare=False)


def with_distinct_labels(proxies: Iterable[Proxy], taken: Collection[str] = ()) -> Iterator[Proxy]:
    """The proxies, numbered by `twin` so that no two have one label, nor a label that is `taken`."""
    numbers: dict[str, int] = {}
    for proxy in proxies:
        number = max(proxy.twin, numbers.get(proxy._name, 0) + 1)
        while (distinct := replace(proxy, twin=number)).label in taken:
            number += 1
        numbers[proxy._name] = number
        yield distinct
