"""When a share of all pages can be told: not while pages lead to further ones."""

from __future__ import annotations

import pytest

from pinpool.crawler.tally import ENOUGH, GROWS_ON, Tally

NOW = 1000.0


@pytest.mark.parametrize(
    ("tally", "lists_open", "finds_more"),
    [
        (Tally(known=10), True, True),
        (Tally(known=10), False, False),
        (Tally(known=90, ended=ENOUGH, pages=ENOUGH), True, False),  # list pages that lead nowhere: they hold the items
        (Tally(known=90, ended=50, pages=50, grew=NOW - GROWS_ON), True, True),
        (Tally(known=90, ended=50, pages=50, grew=NOW - GROWS_ON), False, False),
        (Tally(known=90, ended=50, pages=50, grew=NOW - 1), False, True),  # a stage after the list pages led on
        (Tally(known=90, ended=90, pages=90, grew=NOW), False, False),
    ],
)
def test_pages_are_found_while_list_pages_lead_to_them_or_any_page_did_of_late(
    tally: Tally, lists_open: bool, finds_more: bool
) -> None:
    assert tally.finds_more(NOW, lists_open=lists_open) is finds_more
