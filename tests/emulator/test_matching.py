"""Price-time priority on the YES leg, against a slow book that sorts everything every time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_daemon.emulator.matching import Book, LevelChange, Match
from kalshi_daemon.emulator.model import NewOrder, SelfTradePrevention
from kalshi_daemon.emulator.orders import LiveOrder, live_order
from kalshi_daemon.units import PRICE_ONE, BookSide, TimeInForce

BID, ASK = BookSide.BID, BookSide.ASK


def order(
    name: str,
    side: BookSide,
    price: int,
    count: int,
    user: str | None = None,
    prevention: SelfTradePrevention = SelfTradePrevention.TAKER_AT_CROSS,
) -> LiveOrder:
    new = NewOrder("T", side, price, count, TimeInForce.GOOD_TILL_CANCELED, prevention)
    return live_order(new, count, name, (user or name, 0), 0, 0)


def resting(book: Book, *orders: LiveOrder) -> None:
    for one in orders:
        book.leg(one.side).add(one)


def test_better_prices_go_first_then_earlier_orders() -> None:
    """A sale meets the higher bid first, and of two at one price the earlier; each at the resting order's price."""
    book = Book()
    low, early, late = order("low", BID, 4_800, 500), order("early", BID, 5_000, 300), order("late", BID, 5_000, 300)
    resting(book, low, early, late)
    sale = order("sale", ASK, 4_800, 900)
    outcome = book.match(sale)
    assert outcome.matches == [Match(early, 5_000, 300), Match(late, 5_000, 300), Match(low, 4_800, 300)]
    assert outcome.changes == [LevelChange(yes=True, price=5_000, change=-600), LevelChange(True, 4_800, -300)]
    assert (sale.remaining, low.remaining) == (0, 200)
    assert book.yes.counts() == ((4_800, 200),)


def test_an_ask_stands_on_the_no_leg() -> None:
    """An ask at 52 cents is a NO bid at 48, and a bid at 52 meets it there at 52."""
    book = Book()
    ask = order("ask", ASK, 5_200, 100)
    resting(book, ask)
    assert book.no.counts() == ((4_800, 100),)
    assert not book.crosses(BID, 5_100)
    assert book.match(order("buy", BID, 6_000, 100)).matches == [Match(ask, 5_200, 100)]
    assert book.no.counts() == ()


def test_an_order_stops_at_one_of_its_own() -> None:
    """taker_at_cross: earlier matches stand, the own resting order is untouched, and nothing behind it is met."""
    book = Book()
    resting(
        book, order("other", BID, 5_000, 100), order("mine", BID, 5_000, 100, "me"), order("behind", BID, 4_900, 100)
    )
    sale = order("sale", ASK, 4_000, 300, "me")
    outcome = book.match(sale)
    assert [match.count for match in outcome.matches] == [100]
    assert outcome.stopped
    assert sale.remaining == 200
    assert book.yes.counts() == ((4_900, 100), (5_000, 100))


def test_or_takes_its_own_off_and_goes_on() -> None:
    """maker: the own resting order leaves the book and the arriving one meets who stood behind it."""
    book = Book()
    mine, behind = order("mine", BID, 5_000, 100, "me"), order("behind", BID, 4_900, 100)
    resting(book, mine, behind)
    outcome = book.match(order("sale", ASK, 4_000, 300, "me", SelfTradePrevention.MAKER))
    assert outcome.displaced == [mine]
    assert outcome.matches == [Match(behind, 4_900, 100)]
    assert outcome.changes[0] == LevelChange(yes=True, price=5_000, change=-100, order=mine)
    assert book.yes.counts() == ()


def test_recorded_contracts_are_met_once_and_stay() -> None:
    """An arriving order takes what a recording shows at a price, then the orders there; the recording stays."""
    book = Book()
    book.yes.show_recorded(5_000, 700)
    maker = order("maker", BID, 5_000, 100)
    resting(book, maker)
    outcome = book.match(order("sale", ASK, 5_000, 1_000))
    assert outcome.matches == [Match(None, 5_000, 700), Match(maker, 5_000, 100)]
    assert book.yes.counts() == ((5_000, 700),)
    assert book.match(order("again", ASK, 5_000, 300)).matches == [Match(None, 5_000, 300)]


SlowMatch = tuple[str, int, int]


class SlowBook:
    """The rule in its plainest form: of all resting orders that cross, the best price, then the earliest."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, BookSide, int, int]] = []

    def arrive(self, name: str, side: BookSide, price: int, count: int) -> list[SlowMatch]:
        matches = []
        while count:
            crossing = [o for o in self.orders if o[1] is not side and side.sign * (price - o[2]) >= 0]
            if not crossing:
                self.orders.append((name, side, price, count))
                break
            best = min(crossing, key=lambda o: side.sign * o[2])  # the first of equals
            at = self.orders.index(best)
            met = min(count, best[3])
            matches.append((best[0], best[2], met))
            count -= met
            self.orders[at] = (*best[:3], best[3] - met)
            if best[3] == met:
                del self.orders[at]
        return matches

    def cancel(self, name: str) -> None:
        self.orders = [o for o in self.orders if o[0] != name]


ARRIVAL = st.tuples(st.sampled_from([BID, ASK]), st.integers(45, 55), st.integers(1, 900))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.one_of(ARRIVAL, st.integers(0, 60)), max_size=60))
def test_any_flow_meets_in_price_time_order(steps: list[tuple[BookSide, int, int] | int]) -> None:
    """Over any arrivals and cancels the book matches exactly as the slow one, and is never crossed."""
    book, slow = Book(), SlowBook()
    live: dict[str, LiveOrder] = {}
    for number, step in enumerate(steps):
        if isinstance(step, int):
            gone = live.pop(str(step), None)
            if gone is not None and gone.remaining:
                book.leg(gone.side).remove(gone)
                slow.cancel(str(step))
            continue
        side, cents, count = step
        arriving = order(str(number), side, cents * 100, count)
        outcome = book.match(arriving)
        assert all(match.maker is not None for match in outcome.matches)
        met = [(match.maker.order_id, match.price, match.count) for match in outcome.matches if match.maker]
        assert met == slow.arrive(str(number), side, cents * 100, count)
        if arriving.remaining:
            book.leg(side).add(arriving)
            live[str(number)] = arriving
        assert (book.yes.best or 0) + (book.no.best or 0) < PRICE_ONE
    for side, leg in ((BID, book.yes), (ASK, book.no)):
        expected: dict[int, int] = {}
        for _, other, price, count in slow.orders:
            if other is side:
                own = price if side is BID else PRICE_ONE - price
                expected[own] = expected.get(own, 0) + count
        assert leg.counts() == tuple(sorted(expected.items()))
        assert leg.prices == sorted(expected)
