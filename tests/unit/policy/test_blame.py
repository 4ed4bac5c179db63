"""A fault is charged to whom it belongs, and that is settled by what the other proxies say of the same page."""

from random import Random

from pinpool.model import Ending, Evidence, Fault, Outcome, Sign, Step
from pinpool.policy.blame import Blame, Decision, Failure
from pinpool.policy.reputation import Cool, Reputation, Retire
from pinpool.policy.retry import GiveUp, Resubmit
from pinpool.settings import Settings

EVIDENCE = {
    Fault.RESET: Evidence(Step.HEAD, Sign.RESET),
    Fault.REFUSED: Evidence(Step.CONNECT, Sign.REFUSED),
    Fault.HTTP_ERROR: Evidence(Step.PAGE, Sign.STATUS, status=400),
    Fault.SERVER_ERROR: Evidence(Step.PAGE, Sign.STATUS, status=503),
    Fault.EMPTY: Evidence(Step.PAGE, Sign.EMPTY),
    Fault.EXTRACT: Evidence(Step.EXTRACT, Sign.RAISED),
}
ALIVE = range(1, 11)


def blame(*, working: range = ALIVE) -> Blame:
    """Ten proxies, of which `working` have served pages."""
    reputation = Reputation(30.0)
    for proxy in ALIVE:
        reputation.admit(proxy, f"http://192.0.2.{proxy}:80")
    for proxy in working:
        for _ in range(5):
            reputation.credit(proxy)
    return Blame(reputation, Settings(), Random(1))


class Case:
    """One task as it goes from proxy to proxy."""

    def __init__(self, court: Blame, task: int = 1) -> None:
        self.court = court
        self.task = task
        self.history: list[Failure] = []

    def fails(
        self, proxy: int, fault: Fault = Fault.RESET, *, swapped: bool = False, excused: bool = False
    ) -> Decision:
        outcome = Outcome(1, 1, proxy, Ending.FAILED, 0.0, 0.1, evidence=EVIDENCE[fault], swapped=swapped)
        decision = self.court.rule(self.task, outcome, self.history, alive=ALIVE, excused=excused)
        self.history.append(Failure(proxy, fault, excused))
        return decision


def test_a_page_that_three_working_proxies_fail_is_to_blame_itself() -> None:
    page = Case(blame())

    forgiven = [page.fails(proxy).forgiven for proxy in (1, 2, 3)]

    assert forgiven == [(), (), (1, 2, 3)]
    assert [page.court.reputation.strikes(proxy) for proxy in (1, 2, 3)] == [0, 0, 0]


def test_a_page_that_fails_on_proxies_which_work_nowhere_says_nothing_for_them() -> None:
    page = Case(blame(working=range(4, 11)))

    assert [page.fails(proxy).forgiven for proxy in (1, 2, 3)] == [(), (), ()]


def test_a_proxy_that_fails_what_others_fetch_is_to_blame() -> None:
    court = blame()
    before = court.reputation[1].score
    page = Case(court)
    page.fails(1)

    credit = court.credit(2, 1, page.history)

    assert court.reputation[1].score < before
    assert court.reputation.strikes(1) == 1
    assert credit.liars == ()


def test_a_proxy_that_shows_something_else_in_place_of_a_page_is_found_out() -> None:
    """It answers 400 for what others fetch: that page was not bad, the proxy was."""
    court = blame()
    page = Case(court)
    decision = page.fails(1, Fault.HTTP_ERROR)

    credit = court.credit(2, 1, page.history)

    assert not decision.charged
    assert credit.liars == (1,)
    assert court.reputation.strikes(1) == 1


def test_a_5xx_that_is_over_by_the_time_another_asks_is_no_lie() -> None:
    court = blame()
    page = Case(court)
    page.fails(1, Fault.SERVER_ERROR)

    credit = court.credit(2, 1, page.history)

    assert credit.liars == ()
    assert court.reputation.strikes(1) == 1


def test_a_swap_for_bad_pages_alone_costs_the_proxy_no_rest() -> None:
    """Two pages that nobody can fetch and one real failure: the worker has counted three, we count one."""
    court = blame()
    bad, worse, fine = Case(court, 1), Case(court, 2), Case(court, 3)
    for case in (bad, worse):
        for proxy in (7, 8, 9):
            case.fails(proxy)

    decision = fine.fails(9, swapped=True)

    assert decision.penalty == Cool(0.0)
    assert court.reputation[9].coolings == 0


def test_a_proxy_that_rests_for_pages_which_turn_out_bad_is_woken() -> None:
    court = blame()
    cases = [Case(court, task) for task in (1, 2, 3)]
    rulings = [case.fails(9, swapped=case.task == 3) for case in cases]
    assert isinstance(rulings[-1].penalty, Cool)
    assert rulings[-1].penalty.seconds > 0

    second = cases[0].fails(5)

    assert second.woken == (9,), "another that works has failed the same page"
    assert court.reputation[9].coolings == 0


def test_a_sure_fault_of_the_proxy_is_never_the_pages() -> None:
    page = Case(blame())

    rulings = [page.fails(proxy, Fault.REFUSED, swapped=True) for proxy in (1, 2, 3, 4)]

    assert all(decision.forgiven == () for decision in rulings)
    assert all(isinstance(decision.penalty, Cool) and decision.penalty.seconds > 0 for decision in rulings)


def test_while_the_site_is_silent_nobody_is_charged_and_nothing_is_used_up() -> None:
    court = blame()
    page = Case(court)

    rulings = [page.fails(proxy % 10 + 1, swapped=True, excused=True) for proxy in range(50)]

    assert {decision.verdict for decision in rulings} == {Resubmit(0.0, charged=False)}
    assert {decision.penalty for decision in rulings} == {Cool(0.0)}
    assert not any(decision.charged for decision in rulings)
    assert all(court.reputation.works(proxy) for proxy in ALIVE)


def test_a_proxy_that_is_not_proven_since_its_rest_needs_one_strike() -> None:
    court = blame()
    for task in (1, 2, 3):
        Case(court, task).fails(1, swapped=task == 3)

    second = Case(court, 4).fails(1, swapped=True).penalty

    assert isinstance(second, Cool)
    assert 45.0 <= second.seconds <= 75.0, "twice the first rest"


def test_two_that_answer_nothing_but_400_do_not_make_each_other_credible() -> None:
    court = blame(working=range(3, 11))

    for task in range(20):
        page = Case(court, task)
        verdicts = [page.fails(proxy, Fault.HTTP_ERROR).verdict for proxy in (1, 2)]
        assert all(isinstance(verdict, Resubmit) for verdict in verdicts)
        court.credit(3, task, page.history)

    assert not court.reputation.credible(1)


def test_a_proxy_that_has_worked_and_now_fails_page_after_page_has_no_say() -> None:
    """Its plan is used up, say: whatever it answers now is not about the pages."""
    court = blame()
    for task in (1, 2):
        Case(court, task).fails(1, Fault.HTTP_ERROR)
        Case(court, task).fails(2, Fault.HTTP_ERROR)

    page = Case(court, 3)
    verdicts = [page.fails(proxy, Fault.HTTP_ERROR).verdict for proxy in (1, 2)]

    assert all(isinstance(verdict, Resubmit) for verdict in verdicts)


def test_before_the_first_page_of_all_a_site_that_turns_everybody_away_is_believed_in_the_end() -> None:
    page = Case(blame(working=range(0)))

    verdicts = [page.fails(proxy, Fault.HTTP_ERROR).verdict for proxy in range(1, 7)]

    assert [isinstance(verdict, GiveUp) for verdict in verdicts] == [False] * 5 + [True]


def test_a_broken_extractor_is_told_by_three_proxies_though_nobody_has_worked_yet() -> None:
    page = Case(blame(working=range(0)))

    verdicts = [page.fails(proxy, Fault.EXTRACT).verdict for proxy in (1, 2, 3)]

    assert isinstance(verdicts[-1], GiveUp)
    assert all(page.court.reputation.strikes(proxy) == 0 for proxy in (1, 2, 3))


def test_a_history_that_names_proxies_of_another_list_is_no_trouble() -> None:
    court = blame()
    page = Case(court)
    page.history = [Failure(None, Fault.RESET), Failure(99, Fault.RESET)]

    page.fails(1)
    credit = court.credit(2, 1, page.history)

    assert credit.liars == ()


def test_three_soft_banned_proxies_do_not_make_a_page_empty() -> None:
    page = Case(blame(working=range(4, 11)))

    verdicts = [page.fails(proxy, Fault.EMPTY).verdict for proxy in (1, 2, 3)]

    assert all(isinstance(verdict, Resubmit) for verdict in verdicts)


def test_a_retirement_says_why() -> None:
    court = blame()
    sentences = [Case(court, task).fails(1, Fault.REFUSED, swapped=True).penalty for task in range(6)]

    assert sentences[-1] == Retire("refused again after 5 rests in a row")
