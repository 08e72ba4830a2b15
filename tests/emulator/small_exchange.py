"""A small exchange on a hand-set clock, for tests: its markets, members with cash, and every event that was told."""

from __future__ import annotations

import random
from typing import Any, TypeVar

from attrs import define, evolve, field

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.events import Event, LevelChanged
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import ExchangeSettings, Market, NewOrder, Placed, Series
from kalshi_daemon.units import DOLLAR, PRICE_ONE, BookSide, FeeType, TimeInForce

START_MS = 1_780_000_000_000
TICKER = "TEST-ONE-A"
BID, ASK = BookSide.BID, BookSide.ASK
GTC = TimeInForce.GOOD_TILL_CANCELED
IOC = TimeInForce.IMMEDIATE_OR_CANCEL
FOK = TimeInForce.FILL_OR_KILL

EventT = TypeVar("EventT")


@define
class World:
    """An exchange with what happened to it. `now_ms` is moved by hand."""

    settings: ExchangeSettings = field(factory=ExchangeSettings)
    now_ms: int = START_MS
    events: list[Event] = field(factory=list)
    exchange: Exchange = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.exchange = Exchange(self.settings, lambda: self.now_ms, random.Random(7))
        self.exchange.listen(self.events.append)

    def list_market(
        self,
        ticker: str = TICKER,
        structure: str = "linear_cent",
        fee_type: FeeType = FeeType.QUADRATIC,
        multiplier_ppm: int = 1_000_000,
        **changes: Any,
    ) -> Market:
        market = evolve(invented_market(ticker, "A test", structure, self.now_ms), **changes)
        self.exchange.add_series(Series(market.series, "Tests", "", fee_type, multiplier_ppm))
        self.exchange.add_market(market)
        return self.exchange.market(ticker)

    def member(self, key_id: str, dollars: int = 1_000) -> Account:
        return self.exchange.open_account(key_id, dollars * DOLLAR)

    def place(
        self, account: Account, side: BookSide, price: int, count: int, tif: TimeInForce = GTC, **changes: Any
    ) -> Placed:
        order = NewOrder(TICKER, side, price, count, tif)
        return self.exchange.create_order(account, evolve(order, **changes))

    def said(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    def pass_time(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self.exchange.advance()


def listing(**changes: Any) -> World:
    """A world with one open market."""
    world = World()
    world.list_market(**changes)
    return world


def rebuilt(events: list[Event], ticker: str = TICKER) -> tuple[dict[int, int], dict[int, int]]:
    """A market's legs added up from its level changes; asserts that they are never negative and never crossed, and
    that the market's clock moves by one."""
    yes: dict[int, int] = {}
    no: dict[int, int] = {}
    clock = 0
    for event in events:
        if not isinstance(event, LevelChanged) or event.market != ticker:
            continue
        clock += 1
        assert event.clock == clock
        leg = yes if event.yes else no
        leg[event.price] = leg.get(event.price, 0) + event.change
        assert leg[event.price] >= 0
        if not leg[event.price]:
            del leg[event.price]
        assert not yes or not no or max(yes) + max(no) < PRICE_ONE
    return yes, no


def wealth(world: World, value: int) -> int:
    """Cash of everybody, and their positions if the YES leg is worth `value`."""
    venue = world.exchange._venue
    cash = sum(sum(account.cash.values()) for account in venue.by_user.values())
    return cash + sum(p.worth(value) for account in venue.by_user.values() for p in account.positions.values())


def fees_paid(world: World) -> int:
    return sum(p.fees for account in world.exchange._venue.by_user.values() for p in account.positions.values())
