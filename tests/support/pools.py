"""What the tests of a `PinnedPool` share."""

from __future__ import annotations

from pinpool.lab import Lab

#: How long what is ended at once may take on a busy machine.
AT_ONCE = 20.0


def listed(lab: Lab) -> list[str]:
    """The lab's proxies, as a pool takes them."""
    return [proxy.url for proxy in lab.proxies]


def films(lab: Lab) -> list[str]:
    """The URLs of all films of the lab."""
    return sorted(lab.films(lab.named_url))
