"""Accounts whose daemons are killed: the exchange beside them, its own books, and what they are held against.

Rules: fills come while a daemon is dead, because another member trades against what it left resting. The exchange is
asked for its books by the member's own key, over REST, when the daemon has ended; the journal is folded from empty.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from unittest.mock import patch

import msgspec
import trio
from attrs import frozen
from doomed import LIFE_MS, ROTATION
from processes import PATIENCE_S, ROOT, Running, clean_environment, running, until

from kalshi_daemon.config import load
from kalshi_daemon.core import order_amends, order_tracker
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import (
    AccountFact,
    FillSeen,
    HoldKind,
    HoldPlaced,
    OrderDuplicate,
    OrderIntended,
    OrderSeen,
    OrderSent,
    OrderSpec,
    RunStarted,
)
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.journals_kept import journals_since, put_aside, read_journals
from kalshi_daemon.shell.network import SystemNetwork
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import load_signer
from kalshi_daemon.units import CONTRACT, Count, Money, Price, Ticker, TimeInForce
from kalshi_daemon.wire.orders import Acknowledged
from statecharts.order import FIL

HERE: Final = Path(__file__).parent
SWEEP: Final[Count] = 300 * CONTRACT  # what stands before an order of ours, most times
KILLED: Final = -signal.SIGKILL
TRIES: Final = 5  # daemons, until one comes to its point
LOG_SHOWN: Final = 4_000  # characters
LOOK_S: Final = 0.1  # between two questions to the exchange
TRADE_S: Final = 180.0  # for a trade: some recalibrations may come before it
COMMIT: Final = ("begin", "written", "committed")
AT_THE_STOP: Final = (  # points to which an order that rests leads when the daemon is stopped
    *(f"{where}:CANCEL" for where in ("sending", "half", "sent", "answered")),
    *(f"{where}:{kind}" for kind in ("CancelSent", "CancelAcknowledged") for where in COMMIT),
    *("closing", "closed"),
)
AT_A_FILL: Final = ("heard:fill", *(f"{where}:FillSeen" for where in COMMIT))
NEVER: Final = frozenset({HoldKind.DIVERGENCE, HoldKind.FOREIGN})
T = TypeVar("T")


def doomed(point: str = "never", nth: int = 1) -> tuple[str, ...]:
    return sys.executable, str(HERE / "doomed.py"), point, str(nth)


@contextmanager
def members(seed: int, number: int, folder: Path) -> Iterator[list[dict[str, str]]]:
    """The variables of so many members of one exchange, which trades as long as this is not left."""
    program = [sys.executable, str(HERE / "members_process.py"), str(seed), str(number), str(folder / "members")]
    with subprocess.Popen(
        program, cwd=ROOT, env=clean_environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(number)]
        own = clean_environment(folder)
        yield [{**own, **msgspec.json.decode(line, type=dict[str, str])} for line in lines]
        process.communicate(timeout=PATIENCE_S)  # the end of its standard input
        assert process.returncode == 0


@frozen
class Books:
    """What the exchange says of one account."""

    orders: list[OrderSeen]
    fills: list[FillSeen]
    cash: dict[int, Money]
    positions: dict[Ticker, tuple[Count, Money, Money, Money]]  # count, cost, realised, fees


class Member:
    """One account at the exchange, asked as anybody is who has its key."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        config = load({**variables, "KALSHI_STATE_DIR": "/nowhere"})
        self._urls = config.rest_urls
        self._signer = load_signer(config.api_key_id, config.private_key_file)
        self._network = SystemNetwork()

    def ask(self, question: Callable[[RestClient], Awaitable[T]]) -> T:
        async def asked() -> T:
            clock, rng = SystemClock(), random.Random(1)
            async with RestClient(self._urls, self._signer, self._network, clock, lanes=2, rng=rng) as rest:
                return await question(rest)

        return trio.run(asked)

    def orders(self) -> list[OrderSeen]:
        return self.ask(lambda rest: rest.orders())

    def resting(self) -> list[OrderSeen]:
        return self.ask(lambda rest: rest.orders(status="resting"))

    def books(self) -> Books:
        """As of now: reads lag."""
        asked_ms = SystemClock().now_ms()

        until(lambda: self.ask(lambda rest: rest.as_of_ms()) >= asked_ms, "reads as of now", LOOK_S)

        async def read(rest: RestClient) -> Books:
            positions = {
                each.market: (each.count, each.cost, each.realised, each.fees) for each in await rest.positions()
            }
            cash = dict((await rest.balance()).by_shard)
            return Books(await rest.orders(), await rest.fills(0), cash, positions)

        return self.ask(read)

    def take(self, order: OrderSeen, number: int) -> Count:
        """Trade against a resting order of somebody else's, through whatever stands before it; how much it filled."""
        spec = OrderSpec(
            market=order.market,
            side=order.side.opposite,
            price=order.price,
            count=SWEEP,
            time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
            post_only=False,
            reduce_only=False,
            expires_s=None,
            exchange_index=order.exchange_index,
        )

        async def trade(rest: RestClient) -> Count:
            answer = await rest.create_order(f"taker-{order.order_id}-{number}", spec, before_send=lambda: None)
            return answer.filled if isinstance(answer, Acknowledged) else 0

        return self.ask(trade)


class Account:
    """A member whose daemon is killed again and again on one journal, and another who trades against it."""

    def __init__(self, variables: Mapping[str, str], other: Member, folder: Path, pricing: str) -> None:
        self.variables = {
            **variables,
            "KALSHI_POLICY": "rules",
            "KALSHI_PRICING": pricing,
            "KALSHI_ORDER_SIZES": "1",
            "KALSHI_JOURNAL_MAX_MB": "1",
            "KALSHI_JOURNALS_KEPT": "1000",
        }
        self.member = Member(self.variables)
        self.filled_meanwhile = 0  # orders, while no daemon was there
        self.told: list[str] = []  # how each daemon ended
        self._other = other
        self._folder = folder
        self._taken = 0

    def story(self) -> str:
        """For whoever reads a failure: how its daemons ended, and the last words of the last."""
        log = (self._folder / "log").read_text()
        return f"{self._folder.name}: {self.told}\n{log[-LOG_SHOWN:]}"

    def kill(self, wait: Callable[[Running], object]) -> None:
        """A daemon, killed when `wait` returns."""
        with running(self.variables, self._folder, program=doomed()) as daemon:
            wait(daemon)
            daemon.process.kill()
            self._died(daemon.ended(), f"killed, {daemon.told[-1:]}")

    def doom(self, point: str, nth: int) -> None:
        """A daemon that ends at the point. One that cancels is stopped when an order rests; where that was filled
        before, it does not come to the point, and another is started. So is one that has not put its journal aside.
        """
        stopped = point in AT_THE_STOP or point in ROTATION
        for _ in range(TRIES):
            with running(self.variables, self._folder, program=doomed(point, nth)) as daemon:
                until(partial(self._provoked, daemon, point), point, LOOK_S, TRADE_S)
                if stopped:
                    daemon.process.send_signal(signal.SIGTERM)
                code = daemon.ended()
                if code == KILLED:
                    self._died(code, f"{point} {nth}, {daemon.told[-1:]}")
                    return
                assert (code, stopped) == (EXIT_STOPPED, True), (self.told, daemon.log())
        raise AssertionError(f"{TRIES} daemons did not come to {point}")

    def _provoked(self, daemon: Running, point: str) -> bool:
        """Whether it is dead, or to be stopped now."""
        if daemon.process.poll() is not None:
            return True
        if point in AT_THE_STOP:
            least = 2 if point == "half:CANCEL" else 1  # the cancel of one order has no body
            return daemon.was_in("trading.normal") and len(self.member.resting()) >= least
        if point in ROTATION:
            return daemon.was_in("trading.normal")
        if point in AT_A_FILL:
            self._trade_against()
        return False

    def _died(self, code: int, how: str) -> None:
        self.told.append(how)
        assert code == KILLED, (code, self.told)
        self.filled_meanwhile += self._trade_against()

    def _trade_against(self) -> int:
        """How many of its resting orders were filled, at least in part."""
        self._taken += 1
        return sum(self._other.take(order, self._taken) > 0 for order in self.member.resting())

    def conclude(self) -> None:
        """Another daemon trades and is stopped; then both sides are compared."""
        before = len(self.member.books().orders)
        with running(self.variables, self._folder, program=doomed()) as daemon:
            until(
                lambda: len(self.member.orders()) > before or daemon.process.poll() is not None,
                "an order",
                LOOK_S,
                TRADE_S,
            )
            assert daemon.stop() == EXIT_STOPPED, (self.told, daemon.log())
            chain = journals_since(daemon.journal, 0)
            assert chain == [*reversed(put_aside(daemon.journal)), daemon.journal]
            facts = [fact for _seq, fact in read_journals(chain)]
        compare(facts, self.member.books())


def compare(facts: list[AccountFact], books: Books) -> None:
    """Every order, fill, position and dollar is on both sides, once."""
    ledger = Ledger()
    with (
        patch.object(order_tracker, "REQUEST_LIFE_MS", LIFE_MS),
        patch.object(order_amends, "REQUEST_LIFE_MS", LIFE_MS),
    ):
        for fact in facts:
            ledger.apply(fact)
    _compare_orders(facts, ledger, books)
    booked = {each.trade_id: _fill(each) for each in facts if isinstance(each, FillSeen)}
    assert ledger.fills_booked == len(booked)
    assert booked == {each.trade_id: _fill(each) for each in books.fills}
    assert dict(ledger.shards) == books.cash
    held = {each.market: (each.count, each.cost, each.realised, each.fees) for each in ledger.positions.values()}
    assert held == books.positions
    assert ledger.reserved_total == 0
    assert not [each for each in facts if isinstance(each, HoldPlaced) and each.hold in NEVER]


def _compare_orders(facts: list[AccountFact], ledger: Ledger, books: Books) -> None:
    run_id = ""
    for fact in facts:
        assert not isinstance(fact, OrderDuplicate), fact
        if isinstance(fact, RunStarted):
            run_id = fact.run_id
        elif isinstance(fact, OrderIntended | OrderSent):
            assert fact.client_order_id.split("-")[1] == run_id, f"{fact} in run {run_id}: sent by two processes"
    for kind in (OrderIntended, OrderSent):
        times = Counter(each.client_order_id for each in facts if isinstance(each, kind))
        assert max(times.values(), default=1) == 1, f"{kind.__name__} twice: {times.most_common(1)}"
    assert ledger.live() == []
    ours = {each.client_order_id: _told(each) for each in ledger.orders.values() if each.order_id}
    assert len({each.client_order_id for each in books.orders}) == len(books.orders), "one id, two orders"
    assert ours == {each.client_order_id: (each.order_id, True, each.filled, each.status) for each in books.orders}


def _told(record: OrderRecord) -> tuple[str, bool, Count, str]:
    return record.order_id, record.ours, record.filled, "executed" if record.state == FIL else "canceled"


def _fill(fill: FillSeen) -> tuple[str, Ticker, str, Price, Count, Money]:
    return fill.order_id, fill.market, fill.side, fill.price, fill.count, fill.fee
