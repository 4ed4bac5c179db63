"""A list of proxies with logins, for tests of what hides them."""

from __future__ import annotations

from pinpool.proxies.parse import parse

PROXIES = parse(
    "http://alice:p%40ss/word%21@192.0.2.1:80\n192.0.2.2:80:bob:xyz\nsocks5://apikey123:@192.0.2.3:80", "x"
).proxies
