"""One exchange, several daemons: who goes on from the journal and who begins with nothing count the same account.

Cash, positions, their cost and their fees, and what rests are equal, and are the exchange's own. A journal knows more:
the profit made before, the fees of markets that are flat again, and that an order was ours. While orders rest a cold
start knows no cash yet: whether the balance leaves out their collateral is not documented, and nothing has shown it.

`LIVES=100` in the environment is a nightly run (`make nightly`).
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import define, evolve, field, frozen
from test_lossy_links import RandomOrders

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.markets import CLOSING_TICKER, DEMO_FAIR
from kalshi_daemon.emulator.model import ExchangeSettings, NewOrder
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.facts import AccountDiffers, AccountFact, HoldKind, HoldLifted
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.simulation.virtual_site import VirtualSite, make_site
from kalshi_daemon.units import CONTRACT, SECOND_MS, BookSide, Count, Milliseconds, Money, Price, Ticker, TimeInForce

SEEDS: Final = range(int(os.environ.get("LIVES", "3")))
KILLED: Final = 3  # daemons of one life, before the two that are held against each other
LIFE_S: Final = (15.0, 30.0)
DEAD_S: Final = (1.0, 30.0)
CLOSES_MS: Final[Milliseconds] = 30 * SECOND_MS  # one market, which pays twenty seconds later
LAG_S: Final = 2.0  # what happened at the exchange is shown by its reads within it
AGREED_S: Final = 400.0  # an unknown order takes a minute
MARKETS: Final = ("DEMOTEMP-DAY1-T60", CLOSING_TICKER, "DEMORATE-MEET-CUT")  # one closes, one has a finer grid
FAIR: Final = {market: DEMO_FAIR[market] for market in MARKETS}
STILL: Final = CrowdSettings(events_per_s=0.000_1)
LIVELY: Final = CrowdSettings(events_per_s=2.0, taker_share=0.4)


@frozen
class Account:
    """What two starts must agree in. Of what is flat nothing is said."""

    cash: dict[int, Money]
    positions: dict[Ticker, tuple[Count, Money, Money]]  # count, cost, fees
    orders: dict[str, tuple[Ticker, BookSide, Price, Count]]  # by order id; the count that remains


def counted(ledger: LedgerView) -> Account:
    return Account(
        dict(ledger.shards),
        {each.market: (each.count, each.cost, each.fees) for each in ledger.positions.values() if each.count},
        {each.order_id: (each.spec.market, each.spec.side, each.spec.price, each.owed) for each in ledger.live()},
    )


def without_fees(account: Account) -> Account:
    """A market that was flat at a cold start had fees that nobody has told."""
    return evolve(account, positions={market: (*each[:2], 0) for market, each in account.positions.items()})


@define(eq=False)
class Past:
    """The exchange with the account, and all that happens to it, drawn from one seed."""

    draw: random.Random
    site: VirtualSite
    crowd: Crowd = field(init=False)
    pricing: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.crowd = Crowd(self.site.exchange, FAIR, LIVELY, self.draw)
        self.pricing = self.draw.choice(["join", "improve", "take"])

    def there(self) -> Account:
        """The exchange's own books."""
        account = self.site.account
        return Account(
            dict(self.site.exchange.balance(account).cash),
            {market: (each.count, each.cost, each.fees) for market, each in account.positions.items() if each.count},
            {
                order.order_id: (order.market, order.side, order.price, order.remaining)
                for resting in account.resting.values()
                for order in resting.values()
            },
        )

    async def stir(self) -> None:
        """Others trade, also while no daemon lives, and now and then another hand uses our account."""
        while True:
            self.crowd.step(self.site.clock.now_ms())
            if self.draw.random() < 0.03:
                self.another_hand()
            await trio.sleep(0.25)

    def another_hand(self) -> None:
        """An order that no daemon made; or one of those that rest is cancelled."""
        exchange, account = self.site.exchange, self.site.account
        resting = list(self.there().orders.items())
        with suppress(Refused):
            if resting and self.draw.random() < 0.3:
                order_id, (market, *_) = self.draw.choice(resting)
                exchange.cancel_order(account, order_id, market)
                return
            market, side = self.draw.choice((*MARKETS, CLOSING_TICKER)), self.draw.choice(list(BookSide))
            price = exchange.best(market, self.draw.choice([side, side, side.opposite]))
            if price is not None:
                count = self.draw.randint(1, 5) * CONTRACT
                exchange.create_order(account, NewOrder(market, side, price, count, TimeInForce.GOOD_TILL_CANCELED))

    def cancel_all(self) -> None:
        for order_id, (market, *_) in self.there().orders.items():
            self.site.exchange.cancel_order(self.site.account, order_id, market)

    @asynccontextmanager
    async def alive(self, journal: Path, *, trades: bool) -> AsyncIterator[Daemon]:
        """A daemon that is killed in the end: nothing is cancelled, and what it was about to do is not done."""
        variables = {
            "KALSHI_MARKETS": ",".join(MARKETS),
            "KALSHI_POLICY": "rules" if trades else "hold",
            "KALSHI_PRICING": self.pricing,
        }
        daemon = self.site.daemon(variables, journal=journal)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.run)
            yield daemon
            nursery.cancel_scope.cancel()
        assert daemon.parts.invariants.violated == []

    async def trade(self, journal: Path, seconds: float) -> None:
        """Orders without sense for a while; a person adopts what is not ours, at most times."""
        async with self.alive(journal, trades=True) as daemon:
            ledger = daemon.parts.ledger
            with trio.move_on_after(seconds):
                while True:
                    await trio.sleep(0.5)
                    if daemon.parts.policy.actor is not None:
                        daemon.parts.policy.actor._selector = RandomOrders(self.draw)
                    if ledger.find_hold(HoldKind.FOREIGN) is not None and self.draw.random() < 0.5:
                        now_ms = self.site.clock.now_ms()
                        await daemon.parts.bus.settle(HoldLifted(now_ms, HoldKind.FOREIGN, "", "adopt by a test"))


async def until(there: Callable[[], bool]) -> None:
    with trio.fail_after(AGREED_S):
        while not there():  # noqa: ASYNC110 - the virtual clock makes waiting free
            await trio.sleep(0.25)


async def agreed(daemon: Daemon) -> Account:
    ledger = daemon.parts.ledger
    await until(lambda: ledger.account_agreed)
    return counted(ledger)


def facts_of(journal: Path) -> list[AccountFact]:
    return [fact for _seq, fact in read_journal(journal)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_warm_and_a_cold_start_count_one_account(autojump_clock, seeded_schedule, seed, tmp_path):
    """Random lives with kills, fills while dead, another hand, NO positions and a settlement; then both ways to start,
    and the cold one trades on.
    """
    draw = random.Random(seed)
    settings = WorldSettings(
        exchange=ExchangeSettings(balance_excludes_collateral=draw.random() < 0.5),
        server=ServerSettings(read_lag_ms=draw.choice([0, 360, 1_000])),
        crowd=STILL,
        closing_in_ms=CLOSES_MS,
    )
    past = Past(draw, make_site(seed, settings))
    warm, cold = tmp_path / "warm" / "journal", tmp_path / "cold" / "journal"
    for path in (warm, cold):
        path.parent.mkdir(mode=0o700)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(past.site.network.run)
        nursery.start_soon(past.site.world.server.run)
        async with trio.open_nursery() as stirring:
            stirring.start_soon(past.stir)
            for _ in range(KILLED):
                await past.trade(warm, draw.uniform(*LIFE_S))
                await trio.sleep(draw.uniform(*DEAD_S))
            stirring.cancel_scope.cancel()
        await trio.sleep(LAG_S)
        async with past.alive(warm, trades=False) as daemon:
            known = await agreed(daemon)
        assert known == past.there()
        async with past.alive(cold, trades=False) as daemon:
            ledger = daemon.parts.ledger
            await until(lambda: counted(ledger).orders == known.orders)
            await trio.sleep(10)
            assert ledger.opened is not bool(known.orders)
            past.cancel_all()
            found = await agreed(daemon)
            assert all(each.realised == 0 for each in ledger.positions.values())
        assert (found.cash, found.positions) == (known.cash, known.positions)
        async with trio.open_nursery() as stirring:
            stirring.start_soon(past.stir)
            await past.trade(cold, LIFE_S[0])
            stirring.cancel_scope.cancel()
        past.cancel_all()
        await trio.sleep(LAG_S)
        async with past.alive(cold, trades=False) as daemon:
            assert without_fees(await agreed(daemon)) == without_fees(past.there())
        nursery.cancel_scope.cancel()
    for journal in (warm, cold):
        assert [fact for fact in facts_of(journal) if isinstance(fact, AccountDiffers)] == []
