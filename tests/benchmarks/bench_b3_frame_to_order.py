"""B3, frame to order: one frame, until the body of the order that follows from it is ready to be signed.

Decoded, sequence checked, applied, noted; observed, inferred by the shipped model, masked, selected, executed; posted
to the bus, every control of the risk gate, reserved, given its client id, journaled (in memory), told; the body
written, the gate asked again. All of it are the daemon's own parts, put together as it does; left out are the tick that
conflates (`DECISION_TICK_S`), which waits on purpose, and the socket on either side.

`hot` is back to back, `paced` sleeps until the next five hundredth of a second before each frame. The reference, in the
same rounds, is what one would write first for the frame alone: `json.loads`, a dict per side, the best by `max` (the
reference of B1). Orders are answered outside of the time taken: nothing was filled.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import trio
from bench_b1_frame_to_book import Books, Plain
from harness import ROUNDS, goal, quantile

from kalshi_daemon.commands import Command, PlaceOrder, ProposeOrder
from kalshi_daemon.config import SHIPPED_MODEL
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.core.risk import BookEvidence, Levels, RiskLimits
from kalshi_daemon.emulator.auth import make_key
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountOpened,
    BookDelta,
    BookSnapshot,
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
from kalshi_daemon.shell.actor_service import ActorService
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
HOT_P50_US, HOT_P99_US, PACED_P50_US, PACED_P99_US = 60.0, 150.0, 150.0, 400.0
MARKS: Final = (
    "decode_and_book",
    "observe_and_mask",
    "infer_and_select",
    "execute",
    "to_the_bus",
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

    def __init__(self, feed: Pressure) -> None:
        self.clock = SystemClock()
        self.marks: list[int] = []
        self.ordered = trio.Event()
        self.order: PlaceOrder | None = None
        self.body = b""
        self.orders = 0
        self.ledger = Ledger()
        self.journal = Journal.open(MEMORY, in_place)
        self._universe = _universe(feed.tickers, self.clock.now_ms())
        rng = random.Random(1)
        signer = signer_from_pem("bench", make_key(rng).private_pem, "the key in memory")
        rest = RestClient(["http://127.0.0.1"], signer, MemoryNetwork(rng), self.clock, lanes=1, rng=rng)
        self.books = OrderBookClient(
            feed.tickers,
            rest,  # nothing answers: what the audit cannot read it does not judge
            self.clock,
            rng,
            wanted=lambda _: True,
            on_step=lambda _chart, _step: None,
            on_alarm=lambda _name, _text: None,
        )
        views = GateViews(self.ledger, self._universe, self._evidence, self._levels, lambda: CASH)
        self.gates = Gates(views, RiskLimits(), self.clock)
        self.bus = EventBus(self.ledger, OrderManager(), self.journal.append, self._decide, self._command)
        self._gate = OrderGate(self._propose)
        sizes, pricing = (5 * CONTRACT,), Pricing.TAKE
        self.actor = ActorService(
            self.books,
            MarketInputs(self.books, self.ledger, self._universe, self.clock, lambda: CASH // 5),
            load(SHIPPED_MODEL, sizes, pricing, production=False),
            sizes,
            pricing,
            self.clock,
            lambda: True,
            self._stopwatch,
        )
        self._seq = len(feed.snapshots)

    # ------------------------------------------------------------------------------------------------- what is timed

    async def take(self, frame: bytes) -> None:
        """One frame; returns when its order is ready."""
        self.ordered = trio.Event()
        self.marks = [time.perf_counter_ns()]
        delta = cast("BookDelta", decode_frame(frame, self.clock.now_ms()))
        self._seq += 1
        assert delta.seq == self._seq
        self.books.on_delta(delta)
        self._mark()
        self.actor.decide(self.books.take_dirty(), self._gate)
        await self.ordered.wait()

    def _mark(self) -> None:
        self.marks.append(time.perf_counter_ns())

    def _stopwatch(self) -> float:
        """The actor asks before and after it asks the model."""
        self._mark()
        return self.marks[-1] / 1e9

    def _propose(self, proposal: ProposeOrder) -> None:
        self._mark()
        self.bus.post(proposal)

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
        return BookEvidence(self.books.usable(market), 0, book.best_bid, book.best_ask, book.version)

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
            AccountAgreed(now_ms, ((0, CASH),), len(held), 0),
        ):
            await self.bus.settle(fact)
        for frame in feed.snapshots:
            self.books.on_snapshot(cast("BookSnapshot", decode_frame(frame, now_ms)))
        while not self.books.streamed:
            await trio.sleep(0)

    async def warm(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            await self.take(frame)
            await self.answer()

    async def answer(self) -> None:
        """An immediate order that met nothing. `self.order` is the one."""
        order = cast("PlaceOrder", self.order)
        now_ms = self.clock.now_ms()
        self.bus.post(OrderSent(now_ms, order.client_order_id))
        await self.bus.settle(
            OrderAcknowledged(now_ms, order.client_order_id, f"o{self.orders}", 0, 0, self.clock.exchange_now_ms())
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
        )
        universe.read(read, now_ms)
    universe.fees(SeriesFees(series=SERIES, fee_type=FeeType.QUADRATIC, multiplier_ppm=1_000_000))
    return universe


class Frames:
    """Frames of a feed at five hundred a second of the feed's own time, whatever the pace they are taken at."""

    def __init__(self, feed: Pressure, now_ms: Milliseconds) -> None:
        self._feed = feed
        self._ts_ms = now_ms

    def next(self, count: int, step_ms: Milliseconds = round(PACE_S * 1000)) -> Iterator[bytes]:
        for _ in range(count):
            self._ts_ms += step_ms
            yield self._feed.delta(self._ts_ms)


async def _until(at_s: float) -> None:
    if at_s:
        await trio.sleep_until(at_s)


async def _time_orders(path: Path, frames: list[bytes], pace_s: float) -> list[list[int]]:
    """The marks of each frame."""
    began_s = trio.current_time()
    marks = []
    for number, frame in enumerate(frames, 1):
        await _until(began_s + number * pace_s if pace_s else 0.0)
        await path.take(frame)
        marks.append(path.marks)
        await path.answer()
    assert all(len(each) == len(MARKS) + 1 for each in marks), "each frame leads to one order"
    return marks


async def _time_reference(plain: Plain, frames: list[bytes], pace_s: float) -> list[float]:
    began_s = trio.current_time()
    took_us = []
    for number, frame in enumerate(frames, 1):
        await _until(began_s + number * pace_s if pace_s else 0.0)
        began_ns = time.perf_counter_ns()
        plain.run([frame])
        took_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    return took_us


async def _round(markets: int, hot: int, paced: int) -> dict[str, Any]:
    """Fresh parts; then hot and paced, ours and the reference's."""
    feed = Pressure(markets)
    path, plain = Path(feed), Plain(cast("Any", feed))
    frames = Frames(feed, path.clock.now_ms())
    result: dict[str, Any] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(path.bus.run)
        nursery.start_soon(path.books.run)
        await path.begin(feed)
        warming = list(frames.next(WARM * markets, POINT_MS))
        await path.warm(warming)
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
    markets, hot, paced = (10, 50, 10) if short else (100, 5_000, 1_500)
    rounds = [trio.run(_round, markets, hot, paced) for _ in range(2 if short else ROUNDS)]
    report: dict[str, Any] = {"what": f"frame to order, {markets} markets, one at a time, every frame an order"}
    for name in ("hot", "paced"):
        marks = [each[name] for each in rounds]
        report[name] = {
            "order": _quantiles([_whole(each) for each in marks]),
            "stages_p50_us": _stages(marks),
            "json_and_dict": _quantiles([each[f"{name}_reference"] for each in rounds]),
        }
    hot_order, paced_order = report["hot"]["order"], report["paced"]["order"]
    report["goals"] = {
        "hot_p50_us": goal(hot_order["p50_us"], HOT_P50_US, least=False),
        "hot_p99_us": goal(hot_order["p99_us"], HOT_P99_US, least=False),
        "paced_p50_us": goal(paced_order["p50_us"], PACED_P50_US, least=False),
        "paced_p99_us": goal(paced_order["p99_us"], PACED_P99_US, least=False),
    }
    return report
