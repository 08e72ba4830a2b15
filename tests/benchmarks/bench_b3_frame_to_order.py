"""B3, frame to order: one frame, until the body of the order that follows from it is ready to be signed.

Decoded, sequence checked, applied, noted; observed, masked, inferred by the shipped model, selected, executed; every
control of the risk gate, its client id, reserved by the fold, journaled (in memory); the body written, the gate asked
again. These are the daemon's own parts, put together as it does. Left out are the spacing of batches
(`DECISION_SPACING_S`), which waits on purpose, and the socket on either side.

- `hot` and `paced`: by calls alone, without the event loop; back to back, or each frame after a sleep, at 500/s.
- `bus_hot` and `bus_paced`: the same through the real event bus, which is one more task to wake on the way.
- `json_and_dict`, the reference, in the same rounds at the same pace, takes the frame to the book and no further:
  `json.loads`, decimal texts to integers, a dict per side that keeps its best (the reference of B1).

Orders are answered outside of the time taken: nothing was filled.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, cast

import trio
from bench_b1_frame_to_book import Books, Plain
from harness import ROUNDS, goal, quantile

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.commands import Command, PlaceOrder, ProposeOrder
from kalshi_daemon.config import SHIPPED_MODEL
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.core.risk import BookEvidence, Levels, RiskLimits
from kalshi_daemon.emulator.auth import make_key
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountFact,
    AccountOpened,
    BookDelta,
    BookSnapshot,
    DayOpened,
    EventFees,
    MarketRead,
    OrderAcknowledged,
    OrderIntended,
    OrderSent,
    PositionOpening,
    PriceRange,
    RunStarted,
    SeriesFees,
)
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.shell.actor_service import ActorService, Policy
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.event_bus import EventBus
from kalshi_daemon.shell.gates import Gates, GateViews, OrderGate
from kalshi_daemon.shell.journal import MEMORY, Journal, in_place
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.model import load
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, PRICE_ONE, FeeType, Milliseconds, Ticker
from kalshi_daemon.wire.feed import decode_frame
from kalshi_daemon.wire.fixed_point import format_count, format_price
from kalshi_daemon.wire.orders import encode_order

CASH: Final = 5_000 * DOLLAR
SERIES: Final = "KXBENCH"
HELD: Final = 10  # markets with a position of five contracts
WARM: Final = 12  # changes of each book, a window's point apart, before any time is taken
POINT_MS: Final = 100
PACE_S: Final = 0.002
FRAME_MS: Final = 2  # the feed's own time between two frames, whatever the pace they are taken at
GOALS_US: Final = {("hot", "p50"): 60.0, ("hot", "p99"): 150.0, ("paced", "p50"): 150.0, ("paced", "p99"): 400.0}
MARKS: Final = (
    "decode_and_book",
    "observe_and_mask",
    "infer_and_select",
    "execute",
    "handed_on",
    "risk_and_client_id",
    "reserve_and_journal",
    "body_and_last_question",
)


class Pressure:
    """A seeded feed that the policy buys on: ten bids of hundreds of contracts under asks of twenty, a cent apart.

    Each delta changes the size of one bid; prices stay, so that every frame leads to an order.
    """

    def __init__(self, markets: int) -> None:
        self.tickers = [f"{SERIES}-26NOV22-B{number}" for number in range(markets)]
        self.final: Books = {
            ticker: ({cents * 100: 50_000 for cents in range(41, 51)}, {cents * 100: 2_000 for cents in range(40, 50)})
            for ticker in self.tickers
        }
        self.snapshots = [self._snapshot(seq, ticker) for seq, ticker in enumerate(self.tickers, 1)]
        self._rng = random.Random(1)
        self._seq = markets

    def _snapshot(self, seq: int, ticker: Ticker) -> bytes:
        yes, no = (
            ",".join(f'["{format_price(price)}","{format_count(count)}"]' for price, count in levels.items())
            for levels in self.final[ticker]
        )
        body = f'"market_ticker":"{ticker}","market_id":"x","yes_dollars_fp":[{yes}],"no_dollars_fp":[{no}]'
        return f'{{"type":"orderbook_snapshot","sid":1,"seq":{seq},"msg":{{{body}}}}}'.encode()

    def delta(self, ts_ms: Milliseconds) -> bytes:
        """The next frame, of the next market in turn."""
        ticker = self.tickers[self._seq % len(self.tickers)]
        self._seq += 1
        levels = self.final[ticker][0]
        price = self._rng.choice(list(levels))
        change = self._rng.randrange(1, 100) * 100 * (1 if levels[price] < 50_000 else -1)
        levels[price] += change
        body = f'"market_ticker":"{ticker}","market_id":"x","price_dollars":"{format_price(price)}"'
        body += f',"delta_fp":"{format_count(change)}","side":"yes","ts_ms":{ts_ms}'
        return f'{{"type":"orderbook_delta","sid":1,"seq":{self._seq},"msg":{{{body}}}}}'.encode()


class Path:
    """The daemon's parts between a frame and the body of a create, and the marks of one frame on its way."""

    def __init__(self, feed: Pressure, *, through_bus: bool) -> None:
        self.clock = SystemClock()
        self.through_bus = through_bus
        self.marks: list[int] = []
        self.ordered = trio.Event()
        self.proven = trio.Event()
        self.order: PlaceOrder | None = None
        self.body = b""
        self.orders = 0
        self.ledger = Ledger()
        self.journal = Journal.open(MEMORY, in_place)
        self._universe = _universe(feed.tickers, self.clock.now_ms())
        rng = random.Random(1)
        signer = signer_from_pem("bench", make_key(rng).private_pem, "the key in memory")
        nobody = MemoryNetwork(rng)  # what the audit cannot read it does not judge
        rest = RestClient(["http://127.0.0.1/trade-api/v2"], signer, nobody, self.clock, lanes=1, rng=rng)
        self.books = OrderBookClient(
            feed.tickers,
            rest,
            self.clock,
            rng,
            wanted=lambda _: True,
            on_step=self._stepped,
            on_alarm=lambda _name, _text: None,
        )
        views = GateViews(self.ledger, self._universe, self._evidence, self._levels, lambda _market: True)
        # more than the rate of orders lets pass: what is measured is the path
        unpaced = RiskLimits(orders_per_s_max=1_000_000, orders_per_min_max=1_000_000)
        self.gates = Gates(views, unpaced, self.clock, lambda: None)
        self._manager = OrderManager()
        self.bus = EventBus(self.ledger, self._manager, self.journal.append, self._decide, self._command)
        self._gate = OrderGate(self._propose, increases=True)
        sizes, pricing = (5 * CONTRACT,), Pricing.TAKE
        self.actor = ActorService(
            self.books,
            MarketInputs(self.books, self.ledger, self._universe, self.clock, lambda: CASH // 5),
            Policy(load(SHIPPED_MODEL, sizes, pricing, production=False), sizes, pricing),
            self.clock,
            lambda: 1_000,
            MarketBreakers(),
            self._stopwatch,
        )
        self._seq = len(feed.snapshots)

    # ------------------------------------------------------------------------------------------------- what is timed

    def take(self, frame: bytes) -> None:
        """One frame. By calls alone, its order is ready when this returns; through the bus, when `ordered` is set."""
        self.ordered = trio.Event()
        self.marks = [time.perf_counter_ns()]
        delta = cast("BookDelta", decode_frame(frame, self.clock.now_ms()))
        self._seq += 1
        assert delta.seq == self._seq
        self.books.feeds[0].on_delta(delta)
        self._mark()
        self.actor.decide(self.books.take_dirty(), self._gate)
        assert self.ordered.is_set() or self.bus.waiting == 1, f"one frame, one order: {self.actor.actions}"

    def _mark(self) -> None:
        self.marks.append(time.perf_counter_ns())

    def _stopwatch(self) -> float:
        """The actor asks before and after it asks the model."""
        self._mark()
        return self.marks[-1] / 1e9

    def _propose(self, proposal: ProposeOrder) -> None:
        self._mark()
        if self.through_bus:
            self.bus.post(proposal)
            return
        intent = self._decide(proposal)
        assert intent is not None, self.gates.last_refusal
        changes = self.ledger.apply(intent)
        commands = self._manager.decide(self.ledger, intent, changes)
        self.journal.write([intent])
        for command in commands:
            self._command(command)

    def _decide(self, proposal: ProposeOrder) -> OrderIntended | None:
        self._mark()
        intent = self.gates.decide(proposal)
        self._mark()
        return intent

    def _command(self, command: Command) -> None:
        assert isinstance(command, PlaceOrder), command
        self._mark()
        self.body = encode_order(command.client_order_id, command.spec)
        self.gates.ask(command.client_order_id)
        self._mark()
        self.order = command
        self.orders += 1
        self.ordered.set()

    def _evidence(self, market: Ticker) -> BookEvidence:
        book = self.books.books[market]
        return BookEvidence(
            usable=self.books.usable(market), evidence_age_ms=0, best_bid=book.best_bid, best_ask=book.best_ask
        )

    @staticmethod
    def _levels() -> Levels:
        return Levels(trader="trading.normal", feeds_usable=True, breaker_allows=True)

    # ------------------------------------------------------------------------------------------------- around it

    async def begin(self, feed: Pressure) -> None:
        """An account that agrees, books that are proven, windows that are full."""
        now_ms = self.clock.now_ms()
        held = tuple(PositionOpening(ticker, 5 * CONTRACT, 24_000 * 100, 0) for ticker in feed.tickers[:HELD])
        for fact in (
            RunStarted(now_ms, "bench00001", "0"),
            AccountOpened(now_ms, ((0, CASH),), held),
            DayOpened(now_ms, "2026-11-22", CASH),
            AccountAgreed(now_ms, now_ms, ((0, CASH),), len(held), 0),
        ):
            await self.bus.settle(fact)
        for frame in feed.snapshots:
            self.books.feeds[0].on_snapshot(cast("BookSnapshot", decode_frame(frame, now_ms)))
        await self.proven.wait()
        self.books.take_dirty()

    def _stepped(self, _chart: str, _step: Step) -> None:
        if self.books.streamed:
            self.proven.set()

    def answer(self) -> tuple[AccountFact, AccountFact]:
        """What is told of `order`: an immediate one that met nothing."""
        order, now_ms = cast("PlaceOrder", self.order), self.clock.now_ms()
        return (
            OrderSent(now_ms, order.client_order_id),
            OrderAcknowledged(now_ms, order.client_order_id, f"o{self.orders}", 0, 0, self.clock.exchange_now_ms()),
        )


def _universe(tickers: Iterable[Ticker], now_ms: Milliseconds) -> MarketUniverse:
    universe = MarketUniverse()
    grid = (PriceRange(start=0, end=PRICE_ONE, step=PRICE_CENT),)
    for ticker in tickers:
        read = MarketRead(
            market=ticker,
            event=ticker.rpartition("-")[0],
            series=SERIES,
            status="active",
            open_ms=now_ms - 3_600_000,
            close_ms=now_ms + 86_400_000,
            price_ranges=grid,
            exchange_index=0,
            result="",
            settlement_value=None,
            kind="binary",
            volume_24h=0,
            spread=PRICE_CENT,
        )
        universe.read(read, now_ms)
    universe.event_fees([EventFees(market.event, None, None) for market in universe.markets.values()])
    universe.fees(SeriesFees(series=SERIES, fee_type=FeeType.QUADRATIC, multiplier_ppm=1_000_000))
    return universe


class Frames:
    """Frames of a feed, stamped by the feed's own time."""

    def __init__(self, feed: Pressure, now_ms: Milliseconds) -> None:
        self._feed = feed
        self._ts_ms = now_ms

    def next(self, count: int, step_ms: Milliseconds = FRAME_MS) -> Iterator[bytes]:
        for _ in range(count):
            self._ts_ms += step_ms
            yield self._feed.delta(self._ts_ms)


async def _time_orders(path: Path, frames: Iterable[bytes], pace_s: float = 0.0) -> list[list[int]]:
    """The marks of each frame."""
    at_s = trio.current_time()
    marks = []
    for frame in frames:
        if pace_s:
            at_s += pace_s
            await trio.sleep_until(at_s)
        path.take(frame)
        await _settle(path)
        marks.append(path.marks)
    assert all(len(each) == len(MARKS) + 1 for each in marks), "each frame leads to one order"
    return marks


async def _settle(path: Path) -> None:
    """See the order ready, and answered."""
    if path.through_bus:
        await path.ordered.wait()
        sent, answered = path.answer()
        path.bus.post(sent)
        await path.bus.settle(answered)
    else:
        assert path.ordered.is_set()
        for fact in path.answer():
            path.ledger.apply(fact)


async def _time_reference(plain: Plain, frames: list[bytes], pace_s: float) -> list[float]:
    at_s = trio.current_time()
    took_us = []
    for frame in frames:
        if pace_s:
            at_s += pace_s
            await trio.sleep_until(at_s)
        began_ns = time.perf_counter_ns()
        plain.run([frame])
        took_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    return took_us


async def _round(markets: int, hot: int, paced: int, *, through_bus: bool) -> dict[str, Any]:
    """Fresh parts; then hot and paced, ours and the reference's."""
    feed = Pressure(markets)
    path, plain = Path(feed, through_bus=through_bus), Plain(cast("Any", feed), tracks=True)
    frames = Frames(feed, path.clock.now_ms())
    result: dict[str, Any] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(path.bus.run)
        nursery.start_soon(path.books.run)
        await path.begin(feed)
        warming = list(frames.next(WARM * markets, POINT_MS))
        await _time_orders(path, warming)
        plain.run(warming)
        for name, count, pace_s in (("hot", hot, 0.0), ("paced", paced, PACE_S)):
            taken = list(frames.next(count))
            result[name] = await _time_orders(path, taken, pace_s)
            result[f"{name}_reference"] = await _time_reference(plain, taken, pace_s)
        nursery.cancel_scope.cancel()
    path.journal.close()
    books = {ticker: (book.yes.counts, book.no.counts) for ticker, book in path.books.books.items()}
    assert books == plain.made() == feed.final
    assert path.orders == len(warming) + hot + paced
    assert not path.gates.refused
    assert path.ledger.settled_total == CASH
    assert path.ledger.reserved_total == 0
    assert path.body.startswith(b'{"ticker":"' + SERIES.encode())
    return result


def _quantiles(rounds: list[list[float]]) -> dict[str, float]:
    """The median of the rounds' quantiles."""
    return {
        name: round(statistics.median(quantile(each, share) for each in rounds), 1)
        for name, share in (("p50_us", 0.5), ("p99_us", 0.99))
    }


def _whole(marks: list[list[int]]) -> list[float]:
    return [(each[-1] - each[0]) / 1e3 for each in marks]


def _stages(rounds: list[list[list[int]]]) -> dict[str, float]:
    """The median of each stage, over all rounds."""
    return {
        name: round(statistics.median((each[at + 1] - each[at]) / 1e3 for marks in rounds for each in marks), 1)
        for at, name in enumerate(MARKS)
    }


def run(*, short: bool) -> dict[str, Any]:
    markets, hot, paced = (10, 50, 10) if short else (100, 5_000, 1_000)
    report: dict[str, Any] = {"what": f"frame to order, {markets} markets, one at a time, every frame an order"}
    rounds: dict[str, list[dict[str, Any]]] = {"": [], "bus_": []}
    for _ in range(ROUNDS):
        for prefix, taken in rounds.items():
            taken.append(trio.run(partial(_round, markets, hot, paced, through_bus=bool(prefix))))
    for prefix, taken in rounds.items():
        for name in ("hot", "paced"):
            marks = [each[name] for each in taken]
            whole, reference = [_whole(each) for each in marks], [each[f"{name}_reference"] for each in taken]
            ratios = [quantile(a, 0.5) / quantile(b, 0.5) for a, b in zip(whole, reference, strict=True)]
            report[prefix + name] = {
                **_quantiles(whole),
                "p50_to_reference": round(statistics.median(ratios), 1),
                "stages_p50_us": _stages(marks),
                "json_and_dict": _quantiles(reference),
            }
    report["goals"] = {
        f"{name}_{share}": goal(report[name][f"{share}_us"], wanted, least=False)
        for (name, share), wanted in GOALS_US.items()
    }
    return report
