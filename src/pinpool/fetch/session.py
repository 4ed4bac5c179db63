"""A requests.Session that sends everything through one proxy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import requests
from requests.adapters import BaseAdapter
from requests.cookies import merge_cookies
from requests.structures import CaseInsensitiveDict

from pinpool.fetch.adapter import PinnedAdapter
from pinpool.fetch.cookies import CookieJar
from pinpool.settings import Settings

if TYPE_CHECKING:
    from pinpool.proxies.proxy import Proxy

#: Sent unless the spider overrides them. Only codings that are decoded within a limit are accepted.
DEFAULT_HEADERS: Mapping[str, str] = {
    "User-Agent": "Mozilla/5.0 (compatible; pinpool)",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
}
NO_PROFILE: Mapping[str, str] = MappingProxyType({})


def first_profile(settings: Settings) -> Mapping[str, str]:
    """The profile for a single fetch, so that two tries send the same."""
    return settings.profiles[0] if settings.profiles else NO_PROFILE


class PinnedSession(requests.Session):
    """
    A requests.Session whose requests all go through one proxy, whatever the environment or a caller says.

    The adapter `pin` sends everything. The session raises what requests raises: requests.exceptions.ProxyError if a
    caller names another proxy or adapter, or if the proxy refuses the login. Time-outs, the limit of redirects and
    headers come from `settings`; headers of `profile` overrule these. Answers are not limited in size.
    """

    cookies: CookieJar

    def __init__(self, proxy: Proxy, settings: Settings, profile: Mapping[str, str] = NO_PROFILE) -> None:
        self.pin = PinnedAdapter(proxy, settings)
        super().__init__()
        self.adapters = cast(Any, MappingProxyType({"https://": self.pin, "http://": self.pin}))
        self.cookies = CookieJar()
        self.trust_env = False
        self.max_redirects = settings.max_redirects
        self.headers = CaseInsensitiveDict(DEFAULT_HEADERS)
        self.headers.update(settings.headers)
        self.headers.update(profile)

    def __repr__(self) -> str:
        return f"<PinnedSession {self.pin.label}>"

    def __reduce__(self) -> NoReturn:
        self.pin.__reduce__()

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        prepared = super().prepare_request(request)
        if "Cookie" not in CaseInsensitiveDict(request.headers or {}):
            # Requests puts the cookies into a jar with rules of its own.
            jar: Any = merge_cookies(self.cookies.copy(), request.cookies or {})  # type: ignore[no-untyped-call]
            prepared.headers.pop("Cookie", None)
            prepared.prepare_cookies(jar)
        return prepared

    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        if str(url).lower().startswith(("http://", "https://")):
            return self.pin
        raise requests.exceptions.InvalidSchema("a pinned session sends http:// and https:// only")

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """Refuse, except for the direct adapters that requests mounts during its set-up: these are dropped."""
        if isinstance(self.adapters, MappingProxyType):
            raise requests.exceptions.ProxyError(f"this session is pinned to {self.pin.label}; mount no adapter on it")
