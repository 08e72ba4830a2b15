"""The money side of the daemon against the emulated exchange, part by part: real REST over a link that can lose
answers, the real bus with a journal in memory, ledger, gates and writer. There is no stream: what the exchange did is
learnt by reading, unless a test tells it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import Factory, asdict, define, evolve

from kalshi_daemon.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    FetchFills,
    PlaceOrder,
    Poke,
    ProposeOrder,
    RaiseAlarm,
)
from kalshi_daemon.core.changes import FillBooked, OrderMoved, PositionSettled
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.invariants import Invariants
from kalshi_daemon.core.ledger import Ledger, OrderRecord
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.core.rate_governor import Budget
from kalshi_daemon.core.risk import BookEvidence, Levels, RiskLimits
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import demo_series, invented_market
from kalshi_daemon.emulator.model import ExchangeSettings, NewOrder, Placed
from kalshi_daemon.emulator.server import EmulatorServer
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.facts import (
    AccountFact,
    FillSeen,
    HoldKind,
    OrderAcknowledged,
    OrderIntended,
    OrderSent,
    OrderSpec,
    RunStarted,
)
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.calibration_service import CalibrationService
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.event_bus import EventBus, News
from kalshi_daemon.shell.gates import Gates, GateViews
from kalshi_daemon.shell.journal import MEMORY, Journal, in_place
from kalshi_daemon.shell.order_groups import OrderGroups
from kalshi_daemon.shell.order_writer import OrderWriter
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.shell.sweeper import Sweeper
from kalshi_daemon.shell.sync_service import SyncService
from kalshi_daemon.simulation.account_audit import AccountAudit
from kalshi_daemon.simulation.faulty_link import Fault, FaultyLink
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import (
    CENT,
    CONTRACT,
    DOLLAR,
    FEE_GRAIN,
    PRICE_CENT,
    BookSide,
    Milliseconds,
    Money,
    Ticker,
    TimeInForce,
)

START_MS: Milliseconds = 1_792_418_400_000  # a Monday at 10:00 US Eastern
HOST = "exchange"
A, B = "DEMOTEMP-DAY1-T58", "DEMOTEMP-DAY1-T60"  # one event, no maker fees
C = "DEMOGAME-HEROWL-HER"
ORDERS = "/portfolio/events/orders"
SPEC = OrderSpec(A, BookSide.BID, PRICE_CENT, CONTRACT, TimeInForce.GOOD_TILL_CANCELED, True, False, None, 0)
UNPACED = RiskLimits(orders_per_s_max=1_000, orders_per_min_max=1_000)  # tests here act in no time
NORMAL = Levels("trading.normal", feeds_usable=True, breaker_allows=True)


@define(slots=False, eq=False)
class World:
    """`levels` is what the trader's chart and feeds would say; pokes, alarms and wanted fills are only noted."""

    clock: VirtualClock
    network: MemoryNetwork
    exchange: Exchange
    server: EmulatorServer
    link: FaultyLink
    account: Account
    bidder: Account
    asker: Account
    rest: RestClient
    levels: Levels = NORMAL
    ledger: Ledger = Factory(Ledger)
    universe: MarketUniverse = Factory(MarketUniverse)
    facts: list[AccountFact] = Factory(list)
    pokes: list[str] = Factory(list)
    alarms: list[str] = Factory(list)
    moves: list[tuple[str, str]] = Factory(list)  # (client order id, state) of each order that moved
    told_fills: int = 0
    given: set[str] = Factory(set)  # client order ids of `rest_many`

    def __attrs_post_init__(self) -> None:
        self.journal = Journal.open(MEMORY, in_place)
        self.market_breakers = MarketBreakers()
        self.breaker = CircuitBreaker("order_writes", failures_max=3, window_s=30.0, wait_s=(5.0, 60.0), probe_s=5.0)
        views = GateViews(
            self.ledger,
            self.universe,
            self.evidence,
            self.asked_levels,
            lambda market: self.market_breakers.ready(market, trio.current_time()),
        )
        self.gates = Gates(views, UNPACED, self.clock, lambda: self.pokes.append("rate_spent"))
        self.bus = EventBus(self.ledger, OrderManager(), self.journal.append, self.gates.decide, self.command)
        self.bucket = self.rest.governor.bucket(Budget.WRITE)
        settle = self.bus.settle
        self.groups = OrderGroups(self.rest, self.ledger, self.clock, settle, UNPACED.order_count_max)
        self.writer = OrderWriter(
            self.rest,
            self.bus.post,
            self.gates.ask,
            self.breaker,
            self.market_breakers,
            self.clock,
            self.gates.ask_amend,
            self.groups.of,
        )
        self.reader = AccountReader(self.rest, self.ledger, self.clock, settle)
        self.calibration = CalibrationService(
            self.reader,
            self.ledger,
            self.clock,
            settle,
            worth=lambda: (self.ledger.settled_total, ()),
            alarm=lambda name, _text: self.alarms.append(name),
        )
        self.sync = SyncService(
            self.reader, self.calibration, self.ledger, self.clock, settle, lambda name, _text: self.alarms.append(name)
        )
        self.sweeper = Sweeper(self.reader, self.writer, self.ledger, self.clock, settle)
        self.invariants = Invariants(self.ledger, lambda _text: None)
        self.audit = AccountAudit(self.exchange, self.account, self.ledger, self.invariants)

    def asked_levels(self) -> Levels:
        return evolve(self.levels, breaker_allows=self.breaker.ready(trio.current_time()))

    def evidence(self, market: Ticker) -> BookEvidence:
        """What a proven book would say."""
        best = [self.exchange.best(market, side) for side in (BookSide.BID, BookSide.ASK)]
        return BookEvidence(usable=True, evidence_age_ms=0, best_bid=best[0], best_ask=best[1])

    def command(self, command: Command) -> None:
        match command:
            case PlaceOrder() | AmendOrder() | CancelOrder():
                if isinstance(command, CancelOrder) or command.client_order_id not in self.given:
                    self.writer.accept(command)
            case Poke():
                self.pokes.append(command.event)
            case FetchFills():
                self.sync.want()
            case RaiseAlarm():
                self.alarms.append(command.alarm)

    def note(self, news: News) -> None:
        """What the daemon does with it, as far as the account goes."""
        self.facts.append(news.fact)
        for change in news.changes:
            if isinstance(change, FillBooked):
                self.calibration.moved(change.fill.market, change.fill.ts_ms)
            elif isinstance(change, PositionSettled):
                self.calibration.moved(change.market, self.clock.exchange_now_ms())
            elif isinstance(change, OrderMoved):
                self.calibration.order_moved(self.clock.exchange_now_ms())
                self.moves.append((change.record.client_order_id, change.record.state))

    # ------------------------------------------------------------------------------------------------- what a test does

    def crowd(self, market: Ticker, side: BookSide, cents: int, count: int = 10) -> Placed:
        """Somebody else's order."""
        order = NewOrder(market, side, cents * PRICE_CENT, count * CONTRACT, TimeInForce.GOOD_TILL_CANCELED)
        return self.exchange.create_order(self.bidder if side is BookSide.BID else self.asker, order)

    def elsewhere(self, market: Ticker, side: BookSide, cents: int, count: int = 1) -> Placed:
        """An order of our account that this daemon did not make."""
        order = NewOrder(market, side, cents * PRICE_CENT, count * CONTRACT, TimeInForce.GOOD_TILL_CANCELED)
        return self.exchange.create_order(self.account, order)

    def propose(self, market: Ticker = A, side: BookSide = BookSide.BID, cents: int = 40, count: int = 2) -> None:
        """An increase that rests."""
        self.bus.post(proposal(market, side, cents, count))

    def reduce(self, market: Ticker = A, side: BookSide = BookSide.ASK, cents: int = 40, count: int = 1) -> None:
        order = proposal(market, side, cents, count)
        taking = TimeInForce.IMMEDIATE_OR_CANCEL
        self.bus.post(evolve(order, reduces=True, post_only=False, time_in_force=taking))

    async def order(self, market: Ticker = A, side: BookSide = BookSide.BID, cents: int = 40, count: int = 2) -> str:
        """Propose, wait until the exchange has answered, and give the client order id."""
        number = self.ledger.next_number
        self.propose(market, side, cents, count)
        await self.written()
        return self.ledger.client_order_id(number)

    async def rest_many(self, count: int, market: Ticker = A) -> list[str]:
        """So many orders of ours that rest, one contract each at a cent, in the ledger as if they had been sent."""
        names, now_ms = [], self.clock.now_ms()
        for number in range(self.ledger.next_number, self.ledger.next_number + count):
            names.append(self.ledger.client_order_id(number))
            self.given.add(names[-1])
            spec = evolve(SPEC, market=market)
            order = NewOrder(market, spec.side, spec.price, spec.count, spec.time_in_force, client_order_id=names[-1])
            placed = self.exchange.create_order(self.account, order)
            self.bus.post(OrderIntended(now_ms, number, names[-1], spec, 2 * CENT, "policy", 1, "", ""))
            self.bus.post(OrderSent(now_ms, names[-1]))
            self.bus.post(OrderAcknowledged(now_ms, names[-1], placed.order_id, 0, placed.remaining, now_ms))
        await self.bus.drain()
        return names

    async def position(self, market: Ticker, count: int, cents: int = 40) -> None:
        """Hold so many contracts (negative: NO), bought by an order of ours and known to the ledger."""
        side = BookSide.BID if count > 0 else BookSide.ASK
        await self.order(market, side, cents, abs(count))
        self.crowd(market, side.opposite, cents, abs(count))
        await trio.sleep(1.5)  # reads lag
        await self.reader.read_orders_and_fills()
        assert self.ledger.position(market) == count * CONTRACT

    async def tell_fills(self) -> None:
        """What the private stream would say: the fills of ours that it has not told yet."""
        now_ms = self.clock.now_ms()
        news, self.told_fills = self.account.fills[self.told_fills :], len(self.account.fills)
        for fill in news:
            told = asdict(fill, filter=lambda field, _value: field.name != "subaccount", recurse=False)
            await self.bus.settle(FillSeen(at_ms=now_ms, source="stream", **told))

    async def written(self) -> None:
        """Everything posted has been written, and its answer folded."""
        await self.bus.drain()
        await self.writer.until_quiet()
        await self.told()

    async def told(self) -> None:
        """Everything posted is folded, durable, and in `facts`."""
        await self.bus.drain()

    def record(self, client_order_id: str) -> OrderRecord:
        return self.ledger.orders[client_order_id]

    def state(self, client_order_id: str) -> str:
        return self.ledger.orders[client_order_id].state

    def path(self, client_order_id: str) -> list[str]:
        """The states that an order has gone through."""
        return [state for moved, state in self.moves if moved == client_order_id]

    def of(self, kind: type[AccountFact]) -> list[AccountFact]:
        """The durable facts of one kind."""
        return [fact for fact in self.facts if type(fact) is kind]

    def kinds(self) -> list[str]:
        return [type(fact).__name__ for fact in self.facts]

    async def place_hold(self, kind: HoldKind, cause: str = "a test") -> None:
        await self.bus.settle(hold(kind, cause, self.clock.now_ms()))

    def held(self) -> list[str]:
        return [each.kind.value for each in self.ledger.holds]

    def fail(self, method: str, part: str, *faults: Fault | None) -> None:
        """The next requests that fit meet these faults in turn, the last for ever; None is no fault."""
        waiting = list(faults)

        def judge(asked: str, target: str) -> Fault | None:
            if asked != method or part not in target:
                return None
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        self.link.judge = judge

    def mend(self) -> None:
        self.link.judge = lambda _method, _target: None

    @property
    def exact(self) -> bool:
        """Whether cash, positions, profit and fees are the exchange's, to the micro-dollar."""
        compared = self.audit.look()
        return compared and self.invariants.violated == []


def proposal(market: Ticker = A, side: BookSide = BookSide.BID, cents: int = 40, count: int = 2) -> ProposeOrder:
    """An increase that rests."""
    return ProposeOrder(
        market=market,
        side=side,
        price=cents * PRICE_CENT,
        count=count * CONTRACT,
        time_in_force=TimeInForce.GOOD_TILL_CANCELED,
        post_only=True,
        reduces=False,
        purpose="policy",
        decision=1,
        model="",
        observation="",
    )


@asynccontextmanager
async def account_world(
    *,
    lag_ms: int = 0,
    dollars: int = 1_000,
    excludes_collateral: bool = True,
    grain: Money = FEE_GRAIN,
    settings: ServerSettings | None = None,
    skew_ms: int = 0,
    opened: bool = True,
) -> AsyncIterator[World]:
    """`skew_ms`: how far our clock is ahead of the exchange's. `opened`: the account has been calibrated."""
    clock, theirs = VirtualClock(START_MS + skew_ms), VirtualClock(START_MS)
    rules = ExchangeSettings(balance_excludes_collateral=excludes_collateral, balance_grain=grain)
    exchange = Exchange(rules, theirs.now_ms, random.Random(1))
    for series in demo_series():
        exchange.add_series(series)
    for ticker in (A, B, C):
        exchange.add_market(invented_market(ticker, f"Invented: {ticker}", LINEAR_CENT, theirs.now_ms()))
    serving = evolve(settings or ServerSettings(), read_lag_ms=lag_ms)
    server = EmulatorServer(exchange, {}, serving, theirs.now_ms, random.Random(2))
    key = server.join(dollars * DOLLAR)
    network, link = MemoryNetwork(random.Random(3)), FaultyLink(server.handle)
    network.serve(HOST, 80, link.handle)
    signer = signer_from_pem(key.key_id, key.private_pem, "the key in memory")
    rest = RestClient([f"http://{HOST}/trade-api/v2"], signer, network, clock, lanes=8, rng=random.Random(4))
    people = exchange.open_crowd_account(), exchange.open_crowd_account()
    world = World(clock, network, exchange, server, link, exchange.accounts[key.key_id], *people, rest)
    async with trio.open_nursery() as nursery, rest:
        await nursery.start(network.run)
        await nursery.start(server.run)
        world.bus.listen(world.note)
        nursery.start_soon(world.bus.run)
        nursery.start_soon(world.writer.run)
        await begin(world)
        if opened:
            assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        yield world
        assert world.invariants.violated == []
        nursery.cancel_scope.cancel()


async def begin(world: World, run_id: str = "run1") -> None:
    """A process begins: its run, and what it knows of the markets."""
    await world.bus.settle(RunStarted(world.clock.now_ms(), run_id, "test"))
    for read in await world.rest.markets([A, B, C]):
        world.universe.read(read, world.clock.exchange_now_ms())
        world.universe.fees(await world.rest.series_fees(read.series))
        world.universe.event_fees(await world.rest.event_fees([read.event]))
