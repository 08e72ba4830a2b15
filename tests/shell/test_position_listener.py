"""The exchange's positions against ours: what differs for long is doubted, what differs for a moment is not, and the
figures of what rests are compared.
"""

from __future__ import annotations

from collections import Counter

from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.facts import PositionReported
from kalshi_daemon.limits import QUIET_MS
from kalshi_daemon.shell.position_listener import PositionListener
from kalshi_daemon.units import CONTRACT

A, B = "KXTEST-1-A", "KXTEST-1-B"


class Account:
    def __init__(self):
        self.ours = Counter()
        self.doubts = []
        self.fees = 0
        self.compared = []
        self.listener = PositionListener(self.held, self.doubts.append, self.compared.append)

    def held(self, market):
        return Position(market, self.ours[market], 0, 0, self.fees) if market in self.ours else None

    def report(self, at_ms, contracts, market=A):
        reported = PositionReported(at_ms, market, contracts * CONTRACT, 0, 0, 0)
        self.listener.on_position(reported, at_ms)
        return reported


def test_a_difference_that_lasts_is_doubted_once():
    """Not before the quiet time is over; then once, with both figures; the next report that differs begins anew."""
    account = Account()
    account.ours[A] = CONTRACT
    account.report(1_000, 3)
    account.listener.review(1_000 + QUIET_MS - 1)
    assert account.doubts == []
    account.listener.review(1_000 + QUIET_MS)
    account.listener.review(1_000 + 9 * QUIET_MS)
    assert account.doubts == [f"{A}: we count 1, the exchange said 3"]
    account.report(80_000, -2)
    account.listener.review(80_000 + QUIET_MS)
    assert account.doubts[1:] == [f"{A}: we count 1, the exchange said -2"]
    assert account.listener.messages == 2


def test_what_comes_to_agree_is_forgotten():
    """By our own fill, or by their next report; each market for itself."""
    account = Account()
    account.report(0, 2)
    account.report(0, 5, B)
    account.ours[A] = 2 * CONTRACT
    account.listener.review(10)
    assert set(account.listener.differences) == {B}
    account.report(20, 0, B)
    assert account.listener.differences == {}
    account.listener.review(10 * QUIET_MS)
    assert account.doubts == []


def test_reports_that_keep_coming_do_not_put_a_doubt_off():
    """We miss a fill while the market trades on: the difference is as old as the first report that differed."""
    account = Account()
    for number in range(6):
        account.report(number * QUIET_MS // 4, 2 + number)
        account.ours[A] = number * CONTRACT  # always two behind
        account.listener.review(number * QUIET_MS // 4)
    assert account.doubts == [f"{A}: we count 4, the exchange said 6"]


def test_an_agreement_in_between_begins_anew():
    account = Account()
    account.report(0, 2)
    account.ours[A] = 2 * CONTRACT
    account.report(QUIET_MS - 2, 2)
    account.report(QUIET_MS - 1, 3)
    account.listener.review(QUIET_MS)
    assert account.doubts == []


def test_an_ended_stream_takes_its_differences_along():
    account = Account()
    account.report(0, 2)
    account.listener.forget()
    account.listener.review(10 * QUIET_MS)
    assert account.doubts == []


def test_figures_are_compared_once_the_position_rested():
    """With the count that was told, for the quiet time; once for each report, also one that outran its fill."""
    account = Account()
    account.ours[A] = 2 * CONTRACT
    first, second = account.report(0, 2), account.report(10, 3, B)
    account.listener.review(QUIET_MS - 1)
    assert account.compared == []
    account.ours[B] = 3 * CONTRACT
    for _ in range(2):
        account.listener.review(QUIET_MS)
    assert account.compared == [first]
    for _ in range(2):
        account.listener.review(2 * QUIET_MS)
    assert account.compared == [first, second]
    assert account.doubts == []


def test_another_fill_makes_the_figures_old():
    """Though it left the count as it was; the report of that fill is compared."""
    account = Account()
    account.ours[A] = 2 * CONTRACT
    account.report(0, 2)
    account.fees = 7
    account.listener.review(QUIET_MS)
    account.listener.review(9 * QUIET_MS)
    assert account.compared == []
    account.report(10 * QUIET_MS, 2)
    account.listener.forget()
    account.listener.review(20 * QUIET_MS)
    assert account.compared == []
    told = account.report(30 * QUIET_MS, 2)
    account.listener.review(31 * QUIET_MS)
    assert account.compared == [told]
