"""Markets as they were told, message by message, for hypothesis; and what the daemon makes of them."""

from __future__ import annotations

from attrs import frozen
from hypothesis import strategies as st
from policy_inputs import market_of

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.policy.history import MarketHistory, message_time_ms
from kalshi_daemon.policy.inputs import AccountInput, MarketInput, OpenOrder
from kalshi_daemon.policy.portfolio import Portfolio
from kalshi_daemon.policy.reference import Account, Held, Told, Watched, Working, observation
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_ONE, BookSide

NINE_MS = 1_768_485_600_000  # 2026-01-15 14:00:00 UTC, nine in the east
WAITS_MS = (st.integers(0, 90), st.integers(90, 1_100), st.integers(-400, 0), st.integers(1_000, 70_000))
PRICES = st.integers(1, PRICE_ONE - 1)
ORDERS = st.builds(Working, st.sampled_from(BookSide), PRICES, st.integers(NINE_MS - 400_000, NINE_MS + 1_000))
HELD = st.builds(Held, st.integers(-30_000, 30_000).filter(bool), st.integers(0, 400 * DOLLAR))
MONEY = st.one_of(st.integers(-DOLLAR, 3 * DOLLAR), st.integers(0, 10_000 * DOLLAR))


@frozen
class Look:
    """M is looked at; N is followed beside it, and O, which may be held, is not."""

    told: list[Told]
    other: list[Told]
    last_trade: int | None
    fee_multiplier_ppm: int
    orders: list[Working]
    account: Account
    now_ms: int

    def inputs(self) -> tuple[MarketInput, AccountInput]:
        """What the daemon makes of it."""
        book, history = followed(self.told)
        positions = [(market, each.count, each.cost) for market, each in self.account.held.items()]
        account = Portfolio({"M": history, "N": followed(self.other)[1]}).account(
            self.account.available, self.account.settled, positions
        )
        held = self.account.held.get("M", Held(0, 0))
        market = market_of(
            book,
            history,
            last_trade=self.last_trade,
            fee_multiplier_ppm=self.fee_multiplier_ppm,
            position=held.count,
            cost=held.cost,
            orders=tuple(OpenOrder(order.side, order.price, order.placed_ms, None) for order in self.orders),
        )
        return market, account

    def reference(self) -> list[float]:
        market = Watched(self.told, self.last_trade, self.fee_multiplier_ppm, self.orders)
        return observation("M", {"M": market, "N": Watched(self.other)}, self.account, self.now_ms)


def followed(told: list[Told]) -> tuple[OrderBook, MarketHistory]:
    """The book and the window after the messages, as a feed applies them."""
    book, history = OrderBook("M"), MarketHistory()
    for each in told:
        message = each.message
        if isinstance(message, BookSnapshot):
            book.apply_snapshot(message)
            history.note(book, message_time_ms(None, message.sending_ms, each.received_ms))
        else:
            book.apply_delta(message)
            history.note(book, message_time_ms(message.ts_ms, None, each.received_ms))
    return book, history


@st.composite
def messages(draw: st.DrawFn, most: int = 40) -> list[Told]:
    """None or many: coarse and fine grids, whole and fractional counts, sides that come and go, crossed at times,
    stamps that go back, pauses longer than the window of the activity.
    """
    step = draw(st.sampled_from((1, 10, 100)))
    size = draw(st.sampled_from((CONTRACT, 1)))
    largest = draw(st.sampled_from((5, 1_000, 10**7)))
    now_ms = NINE_MS + draw(st.integers(-3_600_000, 8 * 3_600_000))
    legs: tuple[dict[int, int], dict[int, int]] = ({}, {})
    told: list[Told] = []
    for _ in range(draw(st.integers(0, most))):
        now_ms += draw(st.one_of(WAITS_MS))
        message: BookSnapshot | BookDelta
        if not told or draw(st.integers(0, 19)) == 0:
            message = _snapshot(draw, legs, step, (size, largest), now_ms)
        else:
            message = _delta(draw, legs, step, (size, largest), now_ms)
        told.append(Told(message, now_ms + draw(st.integers(0, 50))))
    return told


def _price(draw: st.DrawFn, step: int, *, yes: bool) -> int:
    """Mostly one below the middle of the contract, so that the legs are seldom crossed."""
    best = 9_990 if draw(st.integers(0, 9)) == 0 else 4_990 if yes else 4_900
    return draw(st.integers(1, best // step)) * step


def _snapshot(
    draw: st.DrawFn, legs: tuple[dict[int, int], dict[int, int]], step: int, sizes: tuple[int, int], now_ms: int
) -> BookSnapshot:
    for leg, levels in enumerate(legs):
        levels.clear()
        for _ in range(draw(st.integers(0, 6))):
            levels[_price(draw, step, yes=leg == 0)] = draw(st.integers(1, sizes[1])) * sizes[0]
    sent_ms = draw(st.sampled_from((None, now_ms)))
    return BookSnapshot(1, 1, "M", sorted(legs[0].items()), sorted(legs[1].items()), None, None, sent_ms)


def _delta(
    draw: st.DrawFn, legs: tuple[dict[int, int], dict[int, int]], step: int, sizes: tuple[int, int], now_ms: int
) -> BookDelta:
    """A level goes, shrinks or grows, or a new one comes."""
    yes = draw(st.booleans())
    levels = legs[0] if yes else legs[1]
    price = draw(st.sampled_from(sorted(levels))) if levels and draw(st.booleans()) else _price(draw, step, yes=yes)
    held = levels.get(price, 0)
    change = draw(st.integers(1, sizes[1])) * sizes[0]
    if held and draw(st.booleans()):
        change = -draw(st.sampled_from((held, min(held, change))))
    levels[price] = held + change
    if not levels[price]:
        del levels[price]
    assert 0 < price < PRICE_ONE
    return BookDelta(1, 1, "M", yes, price, change, now_ms, None)


def looks() -> st.SearchStrategy[Look]:
    """Any messages, any orders, any account."""
    accounts = st.builds(Account, MONEY, MONEY, st.dictionaries(st.sampled_from(("M", "N", "O")), HELD))
    return st.builds(
        Look,
        messages(),
        messages(8),
        st.one_of(st.none(), PRICES),
        st.sampled_from((0, 250_000, 1_000_000, 1_333_333)),
        st.lists(ORDERS, max_size=3, unique_by=lambda order: order.placed_ms),
        accounts,
        st.just(NINE_MS),
    )
