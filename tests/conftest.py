"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A user's folder to work in. Whatever a failed test left running there is ended."""
    made = Desk(tmp_path)
    yield made
    made.clear()
