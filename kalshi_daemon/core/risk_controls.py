"""The controls of the gate, one function each: a question in, a refusal or nothing out (risk.md, before an order).

P1 levels, P2 the market, P3 nothing unknown on it, P4 contracts, P5 cost, P6 open orders, P10 cash, P12 the grid, P22
expiry; `reduction` and `shape` say what an order of its kind is.

Rules: missing data refuses; nothing is changed; a refusal is a value with a code, a figure and a limit.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from kalshi_daemon import limits as bounds
from kalshi_daemon.core.fees import worst_fee
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.position_tracker import side_price
from kalshi_daemon.facts import HoldKind, OrderSpec, SeriesFees
from kalshi_daemon.units import (
    SECOND_MS,
    BookSide,
    Count,
    Milliseconds,
    Money,
    Price,
    Ticker,
    TimeInForce,
    cents,
    contracts,
    dollars,
)
from statecharts.order import UNK

INCREASING_IN: Final = "trading.normal"
REDUCING_IN: Final = ("trading", "paused.holding")
FLATTEN: Final = "flatten"  # the purpose of the operator's own reductions, the only ones that a kill lets pass
BPS: Final = 10_000


@frozen
class RiskLimits:
    """Configurable bounds; each has a hard cap in limits.py that the configuration keeps."""

    order_count_max: Count = bounds.ORDER_COUNT_MAX
    order_cost_max: Money = bounds.ORDER_COST_MAX
    order_cost_bps: int = bounds.ORDER_COST_BPS
    open_orders_market_max: int = bounds.OPEN_ORDERS_MARKET_MAX
    open_orders_account_max: int = bounds.OPEN_ORDERS_ACCOUNT_MAX
    closing_soon_ms: Milliseconds = bounds.CLOSING_SOON_MS
    cash_reserve_bps: int = bounds.CASH_RESERVE_BPS
    order_life_s: int = bounds.ORDER_LIFE_S
    orders_per_s_max: int = bounds.ORDERS_PER_S_MAX
    orders_per_min_max: int = bounds.ORDERS_PER_MIN_MAX


@frozen
class Refusal:
    """Why an order does not pass: the control's code, what it asks, the figure found and the limit, as text."""

    code: str
    control: str
    figure: str
    limit: str


@frozen
class Levels:
    """What is the case outside the ledger; `trader` is the innermost state's dotted path."""

    trader: str
    feeds_usable: bool
    breaker_allows: bool


@frozen
class BookEvidence:
    """A market's book as the gate sees it, on the YES leg."""

    usable: bool
    evidence_age_ms: Milliseconds
    best_bid: Price | None
    best_ask: Price | None
    polled: bool = False  # it was read by REST, and is good for reductions only


@frozen
class Situation:
    """What is the case about one market at the moment of asking; `now_ms` is the exchange's clock."""

    ledger: LedgerView
    market: Market | None
    book: BookEvidence
    levels: Levels
    now_ms: Milliseconds
    limits: RiskLimits


@frozen
class Question:
    """An order that wants to pass, and everything that the controls look at. `own` is its record, once it has one."""

    spec: OrderSpec
    purpose: str
    own: str
    ledger: LedgerView
    market: Market
    book: BookEvidence
    levels: Levels
    now_ms: Milliseconds
    limits: RiskLimits

    @property
    def reduces(self) -> bool:
        return self.spec.reduce_only


def cash_reserve(bankroll: Money, limits: RiskLimits) -> Money:
    """P10: the cash that increases may not touch, rounded up."""
    return -(-bankroll * limits.cash_reserve_bps // BPS)


def worst_cost(spec: OrderSpec, fees: SeriesFees, grain: Price) -> Money:
    """The most that an order can take from the cash: all of it at its limit, and the worst fee (core/fees.py)."""
    fee = worst_fee(fees, spec.side, spec.price, spec.count, rests=spec.post_only, grain=grain)
    return side_price(spec.side, spec.price) * spec.count + fee


def pending_reductions(ledger: LedgerView, market: Ticker, own: str = "") -> Count:
    """Contracts of open orders against the position there, all taken as filled; `own` is left out."""
    against = BookSide.ASK if ledger.position(market) > 0 else BookSide.BID
    return sum(
        each.owed for each in ledger.open_orders(market) if each.spec.side is against and each.client_order_id != own
    )


def reducible(ledger: LedgerView, market: Ticker, own: str = "") -> Count:
    """How many contracts a reduction there may still have."""
    return max(0, abs(ledger.position(market)) - pending_reductions(ledger, market, own))


def check_shape(question: Question) -> Refusal | None:
    spec = question.spec
    takes = spec.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL and not spec.post_only
    rests = spec.time_in_force is TimeInForce.GOOD_TILL_CANCELED and spec.post_only
    if takes or (rests and not spec.reduce_only):
        return None
    shape = spec.time_in_force.value + (" post_only" if spec.post_only else "")
    if spec.reduce_only:
        return Refusal("shape", "a reduction takes", shape, "immediate_or_cancel")
    return Refusal("shape", "an increase rests or takes", shape, "good_till_canceled post_only, or immediate_or_cancel")


def check_levels(question: Question) -> Refusal | None:
    """P1. What closes the gate, the most telling first."""
    if question.reduces:
        return _closed_to_reductions(question) or _closed_to_all(question)
    return _closed_to_increases(question) or _closed_to_all(question)


def _closed_to_reductions(question: Question) -> Refusal | None:
    trader = question.levels.trader
    if question.ledger.find_hold(HoldKind.KILL) and question.purpose != FLATTEN:
        return Refusal("P1", "no kill", "kill", "flatten only")
    if trader not in REDUCING_IN and not trader.startswith(REDUCING_IN[0] + "."):
        return Refusal("P1", "reductions are taken", trader, " or ".join(REDUCING_IN))
    return None


def _closed_to_increases(question: Question) -> Refusal | None:
    ledger, levels = question.ledger, question.levels
    hold = next((each for each in ledger.holds if each.subject in ("", question.spec.market)), None)
    if hold is not None:
        return Refusal("P1", "no hold", f"{hold.kind.value}: {hold.cause}", "none")
    if ledger.restricted:
        return Refusal("P1", "no restriction", ", ".join(each.kind.value for each in ledger.restrictions), "none")
    if levels.trader != INCREASING_IN:
        return Refusal("P1", "increases are taken", levels.trader, INCREASING_IN)
    if not levels.feeds_usable:
        return Refusal("P1", "feeds usable", "no", "yes")
    if question.book.polled:
        return Refusal("P1", "the book is streamed", "read by REST", "streamed")
    return None


def _closed_to_all(question: Question) -> Refusal | None:
    wait_ms = question.ledger.orders_from_ms - question.now_ms
    if wait_ms > 0:
        return Refusal("P1", "what cancelled everything is over", f"{-(-wait_ms // SECOND_MS)} s to go", "0 s")
    if not question.book.usable:
        return Refusal("P1", "the book is usable", f"evidence {question.book.evidence_age_ms} ms old", "usable")
    if not question.ledger.account_agreed:
        return Refusal("P1", "the account agreed", "no", "yes")
    if not question.levels.breaker_allows:
        return Refusal("P1", "the breaker lets it pass", "no", "yes")
    return None


def check_market(question: Question) -> Refusal | None:
    """P2."""
    market, now_ms = question.market, question.now_ms
    if not market.is_active(now_ms):
        said = "active by the clock alone" if market.unproven else market.status
        return Refusal("P2", "the market is active", said, "active")
    if not question.reduces and market.leaving:
        return Refusal("P2", "the market is selected", "kept for what we have there", "selected")
    if not question.reduces and market.closes_soon(now_ms, question.limits.closing_soon_ms):
        left_s, limit_s = (market.close_ms - now_ms) // SECOND_MS, question.limits.closing_soon_ms // SECOND_MS
        return Refusal("P2", "the market closes later", f"{left_s} s", f"{limit_s} s")
    return None


def check_unknown(question: Question) -> Refusal | None:
    """P3."""
    unknown = [each for each in question.ledger.open_orders(question.spec.market) if each.state == UNK]
    return Refusal("P3", "no unknown write on the market", str(len(unknown)), "0") if unknown else None


def check_count(question: Question) -> Refusal | None:
    """P4."""
    count, most = question.spec.count, question.limits.order_count_max
    if count <= most:
        return None
    return Refusal("P4", "contracts per order", contracts(count), contracts(most))


def check_grid(question: Question) -> Refusal | None:
    """P12."""
    market, spec = question.market, question.spec
    if spec.count <= 0:
        return Refusal("P12", "a positive count", contracts(spec.count), "0.01")
    if not market.on_grid(spec.price):
        return Refusal("P12", "a price on the market's grid", cents(spec.price), f"steps of {market.grain}/10000")
    return None


def check_expiry(question: Question) -> Refusal | None:
    """P22, once more: an order that waited past its own expiry would be refused by the exchange."""
    expires_s = question.spec.expires_s
    if expires_s is None or expires_s * SECOND_MS > question.now_ms:
        return None
    return Refusal("P22", "the expiry lies ahead", f"{question.now_ms // SECOND_MS}", f"{expires_s}")


def check_reduction(question: Question) -> Refusal | None:
    """What calls itself a reduction can only reduce."""
    if not question.reduces:
        return None
    spec, held = question.spec, question.ledger.position(question.spec.market)
    if held * spec.side.sign >= 0:
        return Refusal("reduction", "the position is on the other side", contracts(held), spec.side.value)
    left = reducible(question.ledger, spec.market, question.own)
    if spec.count > left:
        return Refusal("reduction", "no more than is held and not pending", contracts(spec.count), contracts(left))
    return None


def worst_of(question: Question) -> Money | Refusal:
    """P5: what the order may cost, where its fees can be counted with."""
    market = question.market
    if market.fees is None or market.fees_refused:
        return Refusal("P5", "the fees are known", market.fees_refused or market.series, "fees that were read")
    return worst_cost(question.spec, market.fees, market.grain)


def check_covered(question: Question, reserved: Money) -> Refusal | None:
    """P5 again: fees that rose since the intent may cost more than was set aside for it."""
    worst = worst_of(question)
    if isinstance(worst, Refusal):
        return worst
    if worst > reserved:
        return Refusal("P5", "what is reserved covers the fees of now", dollars(worst), dollars(reserved))
    return None


def check_cost(question: Question, reserve: Money, kept: Money = 0) -> Refusal | None:
    """P5 and P10; `kept` of what it may cost is reserved already."""
    limits, ledger = question.limits, question.ledger
    most = min(limits.order_cost_max, ledger.bankroll * limits.order_cost_bps // BPS)
    if reserve > most:
        return Refusal("P5", "cost per order, worst fee included", dollars(reserve), dollars(most))
    available = ledger.available(question.spec.exchange_index, cash_reserve(ledger.bankroll, limits))
    if reserve - kept > available:
        return Refusal("P10", "cash after the worst case", dollars(reserve - kept), dollars(available))
    return None


def check_open_orders(question: Question) -> Refusal | None:
    """P6: with this one."""
    ledger, limits = question.ledger, question.limits
    here = len(ledger.live(question.spec.market)) + 1
    if here > limits.open_orders_market_max:
        return Refusal("P6", "open orders on the market", str(here), str(limits.open_orders_market_max))
    everywhere = ledger.live_count + 1
    if everywhere > limits.open_orders_account_max:
        return Refusal("P6", "open orders of the account", str(everywhere), str(limits.open_orders_account_max))
    return None
