"""A fault is charged to whom it belongs, and that is settled by what the other proxies say of the same page."""

from random import Random

from pinpool.model import Ending, Evidence, FailedAttempt, Fault, Outcome, Sign, Step
from pinpool.policy.decision import Decision, Judge, failed_attempt
from pinpool.policy.reputation import Cool, Reputation, Retire
from pinpool.policy.retry import GiveUp, Resubmit
from pinpool.settings import Settings

ALIVE = range(1, 11)


def ten_proxies(*, working: range = ALIVE) -> Judge:
    """Ten proxies, of which `working` have served pages."""
    reputation = Reputation(30.0)
    for proxy in ALIVE:
        reputation.admit(proxy, f"http://192.0.2.{proxy}:80")
    for proxy in working:
        for _ in range(5):
            reputation.credit(proxy)
    return Judge(reputation, Settings(), Random(1))


class Case:
    """One task as it goes from proxy to proxy."""

    def __init__(self, judge: Judge, task: int = 1) -> None:
        self.judge = judge
        self.task = task
        self.history: list[FailedAttempt] = []

    def fails(
        self, proxy: int, fault: Fault = Fault.RESET, *, swapped: bool = False, site_down: bool = False
    ) -> Decision:
        failure = FailedAttempt(proxy, fault, site_down)
        decision = self.judge.failed(self.task, failure, self.history, swapped=swapped, alive=ALIVE)
        self.history.append(failure)
        return decision


def test_a_page_that_three_working_proxies_fail_is_to_blame_itself() -> None:
    page = Case(ten_proxies())

    forgiven = [page.fails(proxy).forgiven for proxy in (1, 2, 3)]

    assert forgiven == [(), (), (1, 2, 3)]
    assert [page.judge.reputation.strikes(proxy) for proxy in (1, 2, 3)] == [0, 0, 0]


def test_a_page_that_fails_on_proxies_which_work_nowhere_says_nothing_for_them() -> None:
    page = Case(ten_proxies(working=range(4, 11)))

    assert [page.fails(proxy).forgiven for proxy in (1, 2, 3)] == [(), (), ()]


def test_a_proxy_that_fails_what_others_fetch_is_to_blame() -> None:
    judge = ten_proxies()
    before = judge.reputation[1].score
    page = Case(judge)
    page.fails(1)

    credit = judge.fetched(2, 1, page.history)

    assert judge.reputation[1].score < before
    assert judge.reputation.strikes(1) == 1
    assert credit.charged == ()


def test_a_proxy_that_shows_something_else_in_place_of_a_page_is_found_out() -> None:
    """It answers 400 for what others fetch: that page was not bad, the proxy was."""
    judge = ten_proxies()
    page = Case(judge)
    decision = page.fails(1, Fault.HTTP_ERROR)

    credit = judge.fetched(2, 1, page.history)

    assert not decision.charged
    assert credit.charged == (1,)
    assert judge.reputation.strikes(1) == 1


def test_a_5xx_that_is_over_by_the_time_another_asks_is_no_lie() -> None:
    judge = ten_proxies()
    page = Case(judge)
    page.fails(1, Fault.SERVER_ERROR)

    credit = judge.fetched(2, 1, page.history)

    assert credit.charged == ()
    assert judge.reputation.strikes(1) == 1


def test_a_swap_for_bad_pages_alone_costs_the_proxy_no_rest() -> None:
    """Two pages that nobody can fetch and one real failure: the worker has counted three, we count one."""
    judge = ten_proxies()
    bad, worse, fine = Case(judge, 1), Case(judge, 2), Case(judge, 3)
    for case in (bad, worse):
        for proxy in (7, 8, 9):
            case.fails(proxy)

    decision = fine.fails(9, swapped=True)

    assert decision.penalty == Cool(0.0)
    assert judge.reputation[9].coolings == 0


def test_a_proxy_that_rests_for_pages_which_turn_out_bad_is_released() -> None:
    judge = ten_proxies()
    cases = [Case(judge, task) for task in (1, 2, 3)]
    decisions = [case.fails(9, swapped=case.task == 3) for case in cases]
    assert isinstance(decisions[-1].penalty, Cool)
    assert decisions[-1].penalty.seconds > 0

    second = cases[0].fails(5)

    assert second.released == (9,), "another that works has failed the same page"
    assert judge.reputation[9].coolings == 0


def test_a_sure_fault_of_the_proxy_is_never_the_pages() -> None:
    page = Case(ten_proxies())

    decisions = [page.fails(proxy, Fault.REFUSED, swapped=True) for proxy in (1, 2, 3, 4)]

    assert all(decision.forgiven == () for decision in decisions)
    assert all(isinstance(decision.penalty, Cool) and decision.penalty.seconds > 0 for decision in decisions)


def test_while_the_site_is_silent_nobody_is_charged_and_nothing_is_used_up() -> None:
    judge = ten_proxies()
    page = Case(judge)

    decisions = [page.fails(proxy % 10 + 1, swapped=True, site_down=True) for proxy in range(50)]

    assert {decision.verdict for decision in decisions} == {Resubmit(0.0, charged=False)}
    assert {decision.penalty for decision in decisions} == {Cool(0.0)}
    assert not any(decision.charged for decision in decisions)
    assert all(judge.reputation.works(proxy) for proxy in ALIVE)


def test_a_proxy_that_is_not_proven_since_its_rest_needs_one_strike() -> None:
    judge = ten_proxies()
    for task in (1, 2, 3):
        Case(judge, task).fails(1, swapped=task == 3)

    second = Case(judge, 4).fails(1, swapped=True).penalty

    assert isinstance(second, Cool)
    assert 45.0 <= second.seconds <= 75.0, "twice the first rest"


def test_two_that_answer_nothing_but_400_do_not_make_each_other_credible() -> None:
    judge = ten_proxies(working=range(3, 11))

    for task in range(20):
        page = Case(judge, task)
        verdicts = [page.fails(proxy, Fault.HTTP_ERROR).verdict for proxy in (1, 2)]
        assert all(isinstance(verdict, Resubmit) for verdict in verdicts)
        judge.fetched(3, task, page.history)

    assert not judge.reputation.credible(1)


def test_a_proxy_that_has_worked_and_now_fails_page_after_page_has_no_say() -> None:
    """Its plan is used up, say: whatever it answers now is not about the pages."""
    judge = ten_proxies()
    for task in (1, 2):
        Case(judge, task).fails(1, Fault.HTTP_ERROR)
        Case(judge, task).fails(2, Fault.HTTP_ERROR)

    page = Case(judge, 3)
    verdicts = [page.fails(proxy, Fault.HTTP_ERROR).verdict for proxy in (1, 2)]

    assert all(isinstance(verdict, Resubmit) for verdict in verdicts)


def test_before_the_first_page_of_all_a_site_that_turns_everybody_away_is_believed_in_the_end() -> None:
    page = Case(ten_proxies(working=range(0)))

    verdicts = [page.fails(proxy, Fault.HTTP_ERROR).verdict for proxy in range(1, 7)]

    assert [isinstance(verdict, GiveUp) for verdict in verdicts] == [False] * 5 + [True]


def test_a_broken_extractor_is_shown_by_three_proxies_though_nobody_has_worked_yet() -> None:
    page = Case(ten_proxies(working=range(0)))

    verdicts = [page.fails(proxy, Fault.EXTRACT).verdict for proxy in (1, 2, 3)]

    assert isinstance(verdicts[-1], GiveUp)
    assert all(page.judge.reputation.strikes(proxy) == 0 for proxy in (1, 2, 3))


def test_a_history_that_names_proxies_of_another_list_is_no_trouble() -> None:
    judge = ten_proxies()
    page = Case(judge)
    page.history = [FailedAttempt(None, Fault.RESET), FailedAttempt(99, Fault.RESET)]

    page.fails(1)
    credit = judge.fetched(2, 1, page.history)

    assert credit.charged == ()


def test_three_soft_banned_proxies_do_not_make_a_page_empty() -> None:
    page = Case(ten_proxies(working=range(4, 11)))

    verdicts = [page.fails(proxy, Fault.EMPTY).verdict for proxy in (1, 2, 3)]

    assert all(isinstance(verdict, Resubmit) for verdict in verdicts)


def test_a_retirement_says_why() -> None:
    judge = ten_proxies()
    penalties = [Case(judge, task).fails(1, Fault.REFUSED, swapped=True).penalty for task in range(6)]

    assert penalties[-1] == Retire("refused again after 5 rests in a row")


def test_an_outcome_becomes_a_failed_attempt_of_the_proxy_if_that_is_known() -> None:
    outcome = Outcome(1, 1, 7, Ending.FAILED, 0.0, 0.1, evidence=Evidence(Step.CONNECT, Sign.REFUSED))

    assert failed_attempt(outcome) == FailedAttempt(7, Fault.REFUSED)
    assert failed_attempt(outcome._replace(proxy=-1)) == FailedAttempt(None, Fault.REFUSED)


def test_a_refused_connection_lowers_the_score_of_its_proxy_at_once_and_a_dead_worker_lowers_none() -> None:
    judge = ten_proxies(working=range(0))
    for proxy in (1, 2):
        judge.reputation.credit(proxy)

    Case(judge, 1).fails(1, Fault.REFUSED)
    Case(judge, 2).fails(2, Fault.CRASH)

    assert [judge.reputation.credible(proxy) for proxy in (1, 2)] == [False, True]
    assert [judge.reputation.strikes(proxy) for proxy in (1, 2)] == [0, 0]
