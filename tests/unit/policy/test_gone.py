"""A page is gone if it is said by whoever can be believed."""

from __future__ import annotations

import pytest

from pinpool.policy.gone import FEWEST, GoneClaims

HONEST, OTHER, NEW, LIAR = 1, 2, 3, 4
EVERYBODY = {HONEST, OTHER, NEW, LIAR}


@pytest.fixture
def claims() -> GoneClaims:
    """Two proxies that have served twenty pages each and called two gone, and one that calls everything gone."""
    made = GoneClaims()
    for proxy in (HONEST, OTHER):
        for _ in range(20):
            made.serves(proxy)
        for _ in range(2):
            made.says_gone(proxy)
    for _ in range(FEWEST):
        made.says_gone(LIAR)
    made.serves(LIAR)
    return made


def test_the_word_of_a_proxy_that_serves_pages_is_enough(claims: GoneClaims) -> None:
    assert claims.believed({HONEST}, is_seed=False, voters=EVERYBODY)


def test_a_seed_is_gone_only_if_a_second_proxy_says_so(claims: GoneClaims) -> None:
    assert not claims.believed({HONEST}, is_seed=True, voters=EVERYBODY)
    assert claims.believed({HONEST, OTHER}, is_seed=True, voters=EVERYBODY)


@pytest.mark.parametrize("proxy", [NEW, LIAR])
def test_one_that_never_served_a_page_or_stands_out_needs_another(claims: GoneClaims, proxy: int) -> None:
    assert not claims.believed({proxy}, is_seed=False, voters=EVERYBODY)
    assert claims.believed({proxy, HONEST}, is_seed=False, voters=EVERYBODY)


def test_two_that_cannot_be_believed_do_not_confirm_each_other(claims: GoneClaims) -> None:
    assert not claims.believed({NEW, LIAR}, is_seed=False, voters=EVERYBODY)


def test_where_nobody_has_served_a_page_three_proxies_settle_it_or_all_there_are() -> None:
    claims = GoneClaims()

    assert not claims.believed({1, 2}, is_seed=True, voters={1, 2, 3})
    assert claims.believed({1, 2, 3}, is_seed=True, voters={1, 2, 3, 4})
    assert claims.believed({1}, is_seed=True, voters={1})


def test_nobody_stands_out_where_half_of_all_pages_are_gone() -> None:
    claims = GoneClaims()
    for proxy in (1, 2, 3):
        for _ in range(10):
            claims.serves(proxy)
            claims.says_gone(proxy)

    assert [claims.stands_out(proxy) for proxy in (1, 2, 3)] == [False] * 3
