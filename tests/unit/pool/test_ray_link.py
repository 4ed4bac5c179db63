"""What is left of a driver that has ended by itself."""

from __future__ import annotations

import pytest

from pinpool.pool.ray_link import said_last

STACK = """*** StackTrace Information ***
/site-packages/ray/_raylet.so(+0x1812b9a) [0x7f6716212b9a] ray::operator<<()
/lib/x86_64-linux-gnu/libc.so.6(+0x1098ec) [0x7f67185278ec]

"""
BUG = "[2026-11-27 16:51:17,016 C 1525 1546] global_state_accessor.cc:111:  You have likely discovered a bug in Ray. "


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("\n\n", ""),
        ("Traceback (most recent call last):\n  ...\nOSError: no room\n", "OSError: no room"),
        (f"{BUG}Check failed: status Status not OK: TimedOut \n{STACK}", "status Status not OK: TimedOut"),
        (
            f"{BUG}Check failed: status Status not OK: Unauthenticated: RPC error: WrongClusterID: Perhaps \n{STACK}",
            "its head was started again, and does not know this run any more",
        ),
    ],
)
def test_its_last_words_are_no_stack_trace(text: str, last: str) -> None:
    assert said_last(text) == last
