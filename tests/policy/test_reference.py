"""The implementation that trades equals the literal one, from the messages on: every feature, to the float32."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from policy_inputs import CENT_GRID
from told_inputs import NINE_MS, Look, looks

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.facts import (
    AccountOpened,
    BookDelta,
    BookSnapshot,
    EventFees,
    FillSeen,
    MarketRead,
    OrderAcknowledged,
    OrderIntended,
    OrderSpec,
    PositionOpening,
    RunStarted,
    SeriesFees,
    TradePrinted,
)
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.history import message_time_ms
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.policy.observation_adapter import observe, observe_raw
from kalshi_daemon.policy.reference import Account, Held, Told, Watched, Working, observation
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.units import DOLLAR, BookSide, FeeType, TimeInForce


def assert_equal(markets: list[MarketInput], account: AccountInput, wanted: list[list[float]], now_ms: int) -> None:
    """The features to the last bits of a float64, and what a model is handed to the rounding of a float32."""
    raw = observe_raw(markets, account, now_ms)
    for got, want in zip(raw.tolist(), wanted, strict=True):
        for name, value, reference in zip(FEATURES, got, want, strict=True):
            assert value == pytest.approx(reference, rel=1e-12, abs=1e-13), name
    rows, literal = observe(markets, account, now_ms), np.array(wanted, dtype=np.float32).clip(-2, 2)
    assert (np.abs(rows - literal) <= np.spacing(np.maximum(np.abs(literal), np.float32(1e-6)))).all()


@given(looks())
def test_equals_the_reference(look: Look) -> None:
    """Any messages, any orders, any account: a market held, another one followed, a third that nobody follows."""
    market, account = look.inputs()
    assert_equal([market], account, [look.reference()], look.now_ms)


class Traded:
    """Three markets and an account, lived through by chance: messages and prints into the real books, facts into the
    real ledger, and beside them what the reference wants to be told.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tickers = ("A", "B", "C")
        self.clock = VirtualClock(NINE_MS)
        self.books = OrderBookClient(
            self.tickers[:2],  # C is held and not followed
            None,  # nothing is read
            self.clock,
            self.rng,
            wanted=lambda _: True,
            on_step=lambda *_: None,
            on_alarm=lambda *_: None,
        )
        self.universe = MarketUniverse()
        self.ledger = Ledger()
        self.told: dict[str, list[Told]] = {ticker: [] for ticker in self.tickers[:2]}
        self.numbers = 0
        self._open()

    def _open(self) -> None:
        rng = self.rng
        day = (NINE_MS - 3_600_000, NINE_MS + 9 * 3_600_000)
        for ticker in self.tickers:
            self.universe.read(
                MarketRead(ticker, "E", "S", "active", *day, CENT_GRID, 0, "", None, "binary", 0, 0), NINE_MS
            )
        self.universe.fees(SeriesFees("S", FeeType.QUADRATIC, rng.choice((500_000, 1_000_000))))
        self.universe.event_fees([EventFees("E", None, None)])
        held = tuple(
            PositionOpening(ticker, rng.choice((-1, 1)) * rng.randrange(1, 5_000), rng.randrange(50 * DOLLAR), 0)
            for ticker in self.tickers
            if rng.random() < 0.6
        )
        self.ledger.apply(RunStarted(NINE_MS, "run0000001", "0"))
        self.ledger.apply(AccountOpened(NINE_MS, ((0, rng.randrange(500 * DOLLAR)),), held))

    def live(self) -> None:
        """Messages to every market that is followed, a print, and a few orders with their fills."""
        for ticker in self.told:
            self._tell(ticker)
        if self.rng.random() < 0.7:
            ticker = self.rng.choice(self.tickers)
            self.books.table.on_trade(TradePrinted(1, 1, ticker, self.rng.randrange(1, 100) * 100))
        for _ in range(self.rng.randrange(3)):
            self._order()

    def _tell(self, ticker: str) -> None:
        rng, book = self.rng, self.books.books[ticker]
        at_ms = (self.told[ticker][-1].received_ms if self.told[ticker] else NINE_MS) + rng.choice((3, 40, 200, 9_000))
        message: BookSnapshot | BookDelta
        if not self.told[ticker]:
            levels = [[(cents * 100, rng.randrange(1, 9_999)) for cents in range(30, 45)] for _ in range(2)]
            message = BookSnapshot(1, 1, ticker, levels[0], levels[1], None, None, at_ms)
            book.apply_snapshot(message)
        else:
            yes = rng.random() < 0.5
            leg = book.yes if yes else book.no
            price = rng.choice(leg.prices[-2:]) if leg.prices else 4_000
            change = rng.choice((rng.randrange(1, 9_999), -leg.counts.get(price, -700)))
            message = BookDelta(1, 1, ticker, yes, price, change, at_ms, None)
            book.apply_delta(message)
        self.told[ticker].append(Told(message, at_ms))
        self.books.table.changed(book, message_time_ms(at_ms, None, at_ms))

    def _order(self) -> None:
        """Intended, acknowledged, and filled in part or wholly, where it is filled at all."""
        rng, ledger = self.rng, self.ledger
        self.numbers += 1
        number, key, at_ms = self.numbers, ledger.client_order_id(self.numbers), NINE_MS + rng.randrange(9_000)
        market, side = rng.choice(self.tickers), rng.choice(list(BookSide))
        price, count = rng.randrange(1, 100) * 100, rng.randrange(2, 900)
        spec = OrderSpec(
            market, side, price, count, TimeInForce.GOOD_TILL_CANCELED, True, False, NINE_MS // 1_000 + 900, 0
        )
        ledger.apply(OrderIntended(at_ms, number, key, spec, rng.randrange(DOLLAR), "policy", number, "m", ""))
        if rng.random() < 0.8:
            ledger.apply(OrderAcknowledged(at_ms, key, f"o{number}", 0, count, at_ms))
            filled = rng.choice((0, count // 2, count))
            if filled:
                fill = (
                    f"t{number}",
                    f"o{number}",
                    key,
                    market,
                    side,
                    price,
                    filled,
                    rng.randrange(9_999),
                    False,
                    at_ms,
                )
                ledger.apply(FillSeen(at_ms, "stream", *fill, 0))

    def watched(self) -> dict[str, Watched]:
        """From the messages, the prints and the ledger's records, as the reference is told of them."""
        orders = {
            ticker: [Working(each.spec.side, each.spec.price, each.intended_ms) for each in self.ledger.live(ticker)]
            for ticker in self.told
        }
        fees = self.universe.schedules.of("S", "E")[0]
        return {
            ticker: Watched(told, self.books.last_trades.get(ticker), fees.multiplier_ppm, orders[ticker])
            for ticker, told in self.told.items()
        }

    def account(self, reserve: int) -> Account:
        ledger = self.ledger
        available = max(0, ledger.settled_total - ledger.reserved_total - reserve)
        held = {each.market: Held(each.count, each.cost) for each in ledger.positions.values() if each.count}
        return Account(available, ledger.settled_total, held)


@pytest.mark.parametrize("seed", range(8))
async def test_an_account_folded_from_facts_equals_the_reference(seed: int, autojump_clock: object) -> None:
    """Books told by messages, positions and orders folded from facts, gathered as the daemon gathers them."""
    world = Traded(seed)
    reserve = world.rng.choice((0, DOLLAR))
    inputs = MarketInputs(world.books, world.ledger, world.universe, world.clock, lambda: reserve)
    for _ in range(15):
        world.live()
        now_ms = NINE_MS + world.rng.randrange(400_000)
        markets = inputs.markets(world.tickers, now_ms)
        assert [market.market for market in markets] == ["A", "B"]
        wanted = [observation(market.market, world.watched(), world.account(reserve), now_ms) for market in markets]
        assert_equal(markets, inputs.account(), wanted, now_ms)
