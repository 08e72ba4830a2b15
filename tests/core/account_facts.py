"""Facts, markets and ledgers for the tests of the money core, short to write: prices in cents, counts in contracts."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.commands import ProposeOrder
from kalshi_daemon.core.changes import Change
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import BookEvidence, Levels
from kalshi_daemon.facts import OrderSpec, PriceRange, SeriesFees
from kalshi_daemon.units import (
    CONTRACT,
    DOLLAR,
    PRICE_CENT,
    PRICE_ONE,
    BookSide,
    FeeType,
    Milliseconds,
    Money,
    TimeInForce,
)

NOON: Milliseconds = 1_790_000_000_000
RUN = "run0000001"
M = "KXRAIN-26NOV22-T1"
BID, ASK = BookSide.BID, BookSide.ASK
GTC, IOC = TimeInForce.GOOD_TILL_CANCELED, TimeInForce.IMMEDIATE_OR_CANCEL
CENT_GRID = (PriceRange(start=0, end=PRICE_ONE, step=PRICE_CENT),)
TAKER_FEES = SeriesFees(series="KXRAIN", fee_type=FeeType.QUADRATIC, multiplier_ppm=1_000_000)
MAKER_FEES = SeriesFees(series="KXRAIN", fee_type=FeeType.QUADRATIC_WITH_MAKER_FEES, multiplier_ppm=1_000_000)


def order_spec(side: BookSide = BID, price: int = 40, count: int = 10, **changes: Any) -> OrderSpec:
    """An increase that rests until changed."""
    spec = OrderSpec(
        market=M,
        side=side,
        price=price * PRICE_CENT,
        count=count * CONTRACT,
        time_in_force=GTC,
        post_only=True,
        reduce_only=False,
        expires_s=NOON // 1_000 + 900,
        exchange_index=0,
    )
    return evolve(spec, **changes)


def reduction_spec(side: BookSide = ASK, price: int = 40, count: int = 10, **changes: Any) -> OrderSpec:
    shape = {"time_in_force": IOC, "post_only": False, "reduce_only": True, "expires_s": None}
    return order_spec(side, price, count, **{**shape, **changes})


def key(number: int, run_id: str = RUN) -> str:
    return f"kd-{run_id}-{number}"


def started(run_id: str = RUN, at_ms: Milliseconds = NOON) -> facts.RunStarted:
    return facts.RunStarted(at_ms=at_ms, run_id=run_id, version="0.1.0")


def account_opened(cash: int = 1_000, *positions: facts.PositionOpening) -> facts.AccountOpened:
    return facts.AccountOpened(at_ms=NOON, settled=((0, cash * DOLLAR),), positions=positions)


def agreed() -> facts.AccountAgreed:
    return facts.AccountAgreed(at_ms=NOON, as_of_ms=NOON, settled=((0, 0),), positions=0, resting=0)


def intended(number: int = 1, spec: OrderSpec | None = None, reserve: Money | None = None) -> facts.OrderIntended:
    spec = spec or order_spec()
    worst = 0 if spec.reduce_only else 5 * DOLLAR
    return facts.OrderIntended(
        at_ms=NOON + number,
        number=number,
        client_order_id=key(number),
        spec=spec,
        reserve=worst if reserve is None else reserve,
        purpose="policy",
        decision=number,
        model="m",
        observation="",
    )


def sent(number: int = 1, at_ms: Milliseconds = NOON + 100) -> facts.OrderSent:
    return facts.OrderSent(at_ms=at_ms, client_order_id=key(number))


def acked(number: int = 1, filled: int = 0, remaining: int = 10, ts_ms: Milliseconds = NOON + 200) -> Any:
    return facts.OrderAcknowledged(
        at_ms=ts_ms + 5,
        client_order_id=key(number),
        order_id=f"o{number}",
        filled=filled * CONTRACT,
        remaining=remaining * CONTRACT,
        ts_ms=ts_ms,
    )


def fill(trade: str, number: int = 1, count: int = 10, price: int = 40, **changes: Any) -> facts.FillSeen:
    """A maker's fill of order `number`, as the stream tells it."""
    fact = facts.FillSeen(
        at_ms=NOON + 305,
        source="stream",
        trade_id=trade,
        order_id=f"o{number}",
        client_order_id=key(number),
        market=M,
        side=BID,
        price=price * PRICE_CENT,
        count=count * CONTRACT,
        fee=1_000,
        is_taker=False,
        ts_ms=NOON + 300,
        exchange_index=0,
    )
    return evolve(fact, **changes)


def seen(number: int = 1, status: str = "resting", filled: int = 0, **changes: Any) -> facts.OrderSeen:
    """Order `number` for ten contracts, as the stream tells it."""
    fact = facts.OrderSeen(
        at_ms=NOON + 405,
        source="stream",
        order_id=f"o{number}",
        client_order_id=key(number),
        market=M,
        side=BID,
        price=40 * PRICE_CENT,
        status=status,
        filled=filled * CONTRACT,
        remaining=0 if status != "resting" else (10 - filled) * CONTRACT,
        initial=10 * CONTRACT,
        updated_ms=NOON + 400,
        expires_s=None,
        reason="",
        exchange_index=0,
    )
    return evolve(fact, **changes)


def settlement(count: int, value: int, revenue: int, **changes: Any) -> facts.SettlementSeen:
    """Counts in contracts, value in cents, revenue in cents."""
    fact = facts.SettlementSeen(
        at_ms=NOON + 10_000,
        market=M,
        result="yes" if value == 100 else "no" if value == 0 else "scalar",
        value=value * PRICE_CENT,
        count=count * CONTRACT,
        revenue=revenue * 10_000,
        fee=0,
        ts_ms=NOON + 9_000,
        exchange_index=0,
    )
    return evolve(fact, **changes)


def ledger_of(*told: facts.AccountFact, cash: int = 1_000) -> Ledger:
    """A ledger of an agreed account, and then `told`."""
    ledger = Ledger()
    for fact in (started(), account_opened(cash), agreed(), *told):
        ledger.apply(fact)
    return ledger


def apply_all(ledger: Ledger, *told: facts.AccountFact) -> tuple[Change, ...]:
    """The changes of the last fact."""
    changes: tuple[Change, ...] = ()
    for fact in told:
        changes = ledger.apply(fact)
    return changes


def state_of(ledger: Ledger) -> dict[str, Any]:
    """The snapshot without its counters."""
    state: dict[str, Any] = json.loads(ledger.snapshot())
    del state["version"], state["counts"]
    return state


def market(**changes: Any) -> Market:
    value = Market(
        ticker=M,
        event="KXRAIN-26NOV22",
        series="KXRAIN",
        status="active",
        unproven=False,
        grid=CENT_GRID,
        open_ms=NOON - 3_600_000,
        close_ms=NOON + 3_600_000,
        exchange_index=0,
        result="",
        settlement_value=None,
        fees=TAKER_FEES,
        refused_ms=None,
        active_read_ms=None,
    )
    return evolve(value, **changes)


def book(bid: int | None = 40, ask: int | None = 42, *, usable: bool = True) -> BookEvidence:
    return BookEvidence(
        usable=usable,
        evidence_age_ms=10,
        best_bid=None if bid is None else bid * PRICE_CENT,
        best_ask=None if ask is None else ask * PRICE_CENT,
    )


def levels(trader: str = "trading.normal", **changes: Any) -> Levels:
    return evolve(Levels(trader=trader, feeds_usable=True, breaker_allows=True), **changes)


def proposal(spec: OrderSpec, purpose: str = "policy") -> ProposeOrder:
    return ProposeOrder(
        market=spec.market,
        side=spec.side,
        price=spec.price,
        count=spec.count,
        time_in_force=spec.time_in_force,
        post_only=spec.post_only,
        reduces=spec.reduce_only,
        purpose=purpose,
        decision=1,
        model="m",
        observation="",
    )


def amend_intended(number: int = 1, spec: OrderSpec | None = None, **changes: Any) -> facts.AmendIntended:
    """Order `number`, ten at 40 cents, is to become eight at 45 until told otherwise, for four dollars at most."""
    fact = facts.AmendIntended(
        at_ms=NOON + 250,
        client_order_id=key(number),
        spec=spec or order_spec(price=45, count=8),
        reserve=4 * DOLLAR,
        purpose="policy",
        decision=number,
        model="m",
        observation="",
    )
    return evolve(fact, **changes)


def amend_sent(number: int = 1, at_ms: Milliseconds = NOON + 260) -> facts.AmendSent:
    return facts.AmendSent(at_ms=at_ms, client_order_id=key(number))


def amend_acked(number: int = 1, remaining: int | None = 8, ts_ms: Milliseconds = NOON + 300) -> Any:
    left = None if remaining is None else remaining * CONTRACT
    return facts.AmendAcknowledged(at_ms=ts_ms + 5, client_order_id=key(number), remaining=left, ts_ms=ts_ms)
