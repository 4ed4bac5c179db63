from __future__ import annotations

import pytest

from logins import PROXIES
from pinpool.proxies.redaction import Redaction


@pytest.mark.parametrize(
    "text",
    [
        "p@ss/word!",
        "p%40ss%2Fword%21",
        "http://alice:p%40ss/word%21@192.0.2.1:80",
        "Proxy-Authorization: Basic YWxpY2U6cEBzcy93b3JkIQ==",
        "p@ss/wordp@ss/word!p@ss/word!",
        "//bob:xyz@192.0.2.2",
        "apikey123",
        "Basic YXBpa2V5MTIzOg==",
    ],
)
def test_no_spelling_of_a_password_comes_through(text: str) -> None:
    hidden = Redaction(PROXIES)(f"before {text} after")

    assert "***" in hidden
    assert not any(secret in hidden for secret in ("word!", "word%21", ":xyz@", "apikey123", "YWxpY2U6", "YXBpa2V5"))
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


def test_text_without_a_secret_stays_as_it_is() -> None:
    text = "xyz is too short a password to hunt for, and p@ss/wor is none; 电影"

    assert Redaction(PROXIES)(text) == text
