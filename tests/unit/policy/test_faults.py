"""Evidence is judged, and every fault has an owner."""

from __future__ import annotations

from itertools import product

import pytest

from pinpool.model import Charge, Evidence, Fault, Sign, Step
from pinpool.policy.faults import FAULTS, answer, fault_of, is_gone


def test_every_fault_has_a_charge_and_a_description_of_one_sentence() -> None:
    assert set(FAULTS) == set(Fault)
    for rule in FAULTS.values():
        assert rule.words.endswith(".")
        assert rule.words.count(".") == 1


@pytest.mark.parametrize(("step", "sign"), list(product(Step, Sign)))
@pytest.mark.parametrize("status", [None, 0, 200, 407, 503])
def test_every_evidence_is_judged(step: Step, sign: Sign, status: int | None) -> None:
    assert fault_of(Evidence(step, sign, status=status)) in Fault


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.SLOW])
def test_every_fault_but_slowness_can_be_the_judgement_of_some_evidence(fault: Fault) -> None:
    judgements = {fault_of(Evidence(step, sign, status=503)) for step, sign in product(Step, Sign)}

    assert fault in judgements


@pytest.mark.parametrize(
    ("step", "sign", "fault"),
    [
        (Step.CONNECT, Sign.REFUSED, Fault.REFUSED),
        (Step.CONNECT, Sign.TIMEOUT, Fault.CONNECT_TIMEOUT),
        (Step.CONNECT, Sign.UNREACHABLE, Fault.UNREACHABLE),
        (Step.CONNECT, Sign.NAME, Fault.UNREACHABLE),
        (Step.PROXY, Sign.TLS, Fault.PROXY_TLS),
        (Step.PROXY, Sign.AUTH, Fault.PROXY_AUTH),
        (Step.PROXY, Sign.RESET, Fault.REFUSED),
        (Step.PROXY, Sign.BROKEN, Fault.REFUSED),
        (Step.TUNNEL, Sign.AUTH, Fault.PROXY_AUTH),
        (Step.TUNNEL, Sign.STATUS, Fault.TUNNEL),
        (Step.TUNNEL, Sign.REFUSED, Fault.TUNNEL),
        (Step.TUNNEL, Sign.UNREACHABLE, Fault.TUNNEL),
        (Step.TUNNEL, Sign.NAME, Fault.DNS),
        (Step.TUNNEL, Sign.TIMEOUT, Fault.TIMEOUT),
        (Step.TUNNEL, Sign.DEADLINE, Fault.DEADLINE),
        (Step.TLS, Sign.TLS, Fault.TLS),
        (Step.TLS, Sign.RESET, Fault.RESET),
        (Step.HEAD, Sign.TIMEOUT, Fault.TIMEOUT),
        (Step.HEAD, Sign.RESET, Fault.RESET),
        (Step.HEAD, Sign.BROKEN, Fault.TRUNCATED),
        (Step.BODY, Sign.SHORT, Fault.TRUNCATED),
        (Step.BODY, Sign.BROKEN, Fault.TRUNCATED),
        (Step.BODY, Sign.TOO_LARGE, Fault.TOO_LARGE),
        (Step.BODY, Sign.DEADLINE, Fault.DEADLINE),
        (Step.PAGE, Sign.BAN, Fault.BANNED),
        (Step.PAGE, Sign.REDIRECTS, Fault.REDIRECTS),
        (Step.PAGE, Sign.RAISED, Fault.EXTRACT),
        (Step.EXTRACT, Sign.EMPTY, Fault.EMPTY),
        (Step.EXTRACT, Sign.RAISED, Fault.EXTRACT),
        (Step.WORKER, Sign.CRASH, Fault.CRASH),
        (Step.WORKER, Sign.HANG, Fault.HANG),
    ],
)
def test_the_fault_follows_from_how_far_the_exchange_came_and_what_was_seen(
    step: Step, sign: Sign, fault: Fault
) -> None:
    assert fault_of(Evidence(step, sign)) is fault


@pytest.mark.parametrize("sign", Sign)
@pytest.mark.parametrize("step", [Step.CONNECT, Step.PROXY])
def test_the_site_is_never_charged_before_it_could_have_been_reached(step: Step, sign: Sign) -> None:
    assert FAULTS[fault_of(Evidence(step, sign, status=503))].charge not in (Charge.SITE, Charge.PAGE)


@pytest.mark.parametrize("sign", Sign)
def test_a_spiders_own_code_never_costs_a_proxy_its_place_at_once(sign: Sign) -> None:
    assert FAULTS[fault_of(Evidence(Step.EXTRACT, sign))].charge is not Charge.PROXY


def test_a_deadline_in_the_spiders_code_is_not_the_proxys() -> None:
    assert fault_of(Evidence(Step.EXTRACT, Sign.DEADLINE)) is Fault.EXTRACT


def test_a_407_in_the_tunnel_means_the_credentials() -> None:
    assert fault_of(Evidence(Step.TUNNEL, Sign.STATUS, status=407)) is Fault.PROXY_AUTH
    assert fault_of(Evidence(Step.TUNNEL, Sign.STATUS, status=503)) is Fault.TUNNEL


def test_a_wrong_certificate_is_an_open_question() -> None:
    """It may be a proxy that reads along, so it must not be charged to the site alone."""
    assert FAULTS[Fault.TLS].charge is Charge.OPEN


@pytest.mark.parametrize("status", [200, 201, 206, 299, 404, 410])
def test_pages_and_gone_pages_are_no_faults(status: int) -> None:
    assert answer(status, (403, 429)) is None
    assert is_gone(status) is (status in (404, 410))


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (403, Fault.BANNED),
        (429, Fault.BANNED),
        (407, Fault.PROXY_AUTH),
        (500, Fault.SERVER_ERROR),
        (503, Fault.SERVER_ERROR),
        (599, Fault.SERVER_ERROR),
        (400, Fault.HTTP_ERROR),
        (401, Fault.HTTP_ERROR),
        (304, Fault.HTTP_ERROR),
        (302, Fault.HTTP_ERROR),
        (199, Fault.HTTP_ERROR),
    ],
)
def test_any_other_status_is_evidence(status: int, fault: Fault) -> None:
    evidence = answer(status, (403, 429))

    assert evidence is not None
    assert evidence.status == status
    assert str(status) in evidence.message
    assert fault_of(evidence) is fault


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_spider_can_call_any_status_a_ban(status: int) -> None:
    evidence = answer(status, {status})

    assert evidence is not None
    assert fault_of(evidence) is Fault.BANNED


def test_a_site_cannot_retire_proxies_by_answering_407_through_a_tunnel() -> None:
    evidence = answer(407, (403,), tunnelled=True)

    assert evidence is not None
    assert fault_of(evidence) is Fault.HTTP_ERROR
