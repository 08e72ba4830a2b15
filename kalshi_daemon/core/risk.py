"""The gate: one pure function that lets an order pass or says which control refused it, and one asked at the socket.

The controls are in `risk_controls.py`, one function each; here is which of them an order is asked, and when. P16, the
rate, is asked after these (`order_rate.py`). P21, cancel on pause, is always on and stands in the wire's encoder.

An order has one of three shapes:
- a reduction: immediate_or_cancel with reduce_only, never post_only, without expiry, for no more than the position less
  what is pending against it; resting, unknown and unanswered orders count as filled. So it cannot increase exposure
  whatever else happens, and it reserves nothing;
- an increase that rests: good_till_canceled, post_only, with an expiry;
- an increase that takes: immediate_or_cancel. An order that would only lower the position and does not claim to be a
  reduction is an increase: it may fill after the position is gone.

An amend asks what an order asks that increases, unless it only lowers the count: that is a cancel in part, and is asked
nothing but whether the order still rests.

Rules: nothing is changed; the first control that refuses decides. Cancels are never asked.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from kalshi_daemon.commands import ProposeAmend, ProposeOrder
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.order_amends import only_lowers
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.risk_controls import (
    FLATTEN,
    BookEvidence,
    Levels,
    Question,
    Refusal,
    RiskLimits,
    Situation,
    cash_reserve,
    check_cost,
    check_count,
    check_covered,
    check_expiry,
    check_grid,
    check_levels,
    check_market,
    check_open_orders,
    check_reduction,
    check_shape,
    check_unknown,
    pending_reductions,
    reducible,
    worst_cost,
    worst_of,
)
from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.units import SECOND_MS, Count, Money, Ticker, TimeInForce, contracts

__all__ = [
    "FLATTEN",
    "BookEvidence",
    "Levels",
    "Passed",
    "Refusal",
    "RiskLimits",
    "Situation",
    "cash_reserve",
    "evaluate",
    "evaluate_amend",
    "may_amend",
    "may_send",
    "pending_reductions",
    "reducible",
    "worst_cost",
]


@frozen
class Passed:
    """What is sent if it is sent, and the worst that it can cost."""

    spec: OrderSpec
    reserve: Money


def evaluate(proposal: ProposeOrder, at: Situation) -> Passed | Refusal:
    """Asked at the last moment before an intent is journaled."""
    market = at.market
    if market is None:
        return _unknown(proposal.market)
    spec = _spec(proposal, market, at)
    question = _question(at, market, spec, proposal.purpose)
    controls = (check_shape, check_levels, check_market, check_unknown, check_count, check_grid, check_reduction)
    if refusal := _first(controls, question):
        return refusal
    if question.reduces:
        return Passed(spec, reserve=0)
    reserve = worst_of(question)
    if isinstance(reserve, Refusal):
        return reserve
    return check_cost(question, reserve) or check_open_orders(question) or Passed(spec, reserve)


def may_send(record: OrderRecord, at: Situation) -> Refusal | None:
    """Asked again in the step that writes to the socket: what may have changed since the intent."""
    if at.market is None:
        return _unknown(record.spec.market)
    question = _question(at, at.market, record.spec, record.purpose, record.client_order_id)
    controls = (check_levels, check_market, check_unknown, check_grid, check_expiry, check_reduction)
    refusal = _first(controls, question)
    return refusal if refusal or question.reduces else check_covered(question, record.reserve)


def evaluate_amend(proposal: ProposeAmend, record: OrderRecord, at: Situation) -> Passed | Refusal:
    """As `evaluate`, for the order `record`. The expiry begins anew, but for a mere decrease."""
    pending = None if record.amend is None else Refusal("amend", "no amend is pending", "one is", "none")
    if refusal := pending or _rests(record, proposal.count):
        return refusal
    lowered = evolve(record.spec, price=proposal.price, count=proposal.count)
    if only_lowers(record.spec, lowered):
        return Passed(lowered, -(-record.worst * lowered.count // record.spec.count))
    if at.market is None:
        return _unknown(record.spec.market)
    spec = evolve(lowered, expires_s=at.now_ms // SECOND_MS + at.limits.order_life_s)
    question = _question(at, at.market, spec, record.purpose, record.client_order_id)
    controls = (check_shape, check_levels, check_market, check_unknown, check_count, check_grid)
    if refusal := _first(controls, question):
        return refusal
    worst = worst_of(question)
    if isinstance(worst, Refusal):
        return worst
    # what the order as it stands has reserved, and what its fills have taken, is not asked for again
    kept = worst - max(0, record.reserve_as(spec.count, worst) - record.reserve)
    return check_cost(question, worst, kept) or Passed(spec, worst)


def may_amend(record: OrderRecord, at: Situation) -> Refusal | None:
    """As `may_send`, of the amend that is pending."""
    amend = record.amend
    if amend is None:
        return Refusal("amend", "the order rests", record.state, "resting")
    refusal = _rests(record, amend.spec.count)
    if refusal is not None or only_lowers(record.spec, amend.spec):
        return refusal
    if at.market is None:
        return _unknown(record.spec.market)
    question = _question(at, at.market, amend.spec, record.purpose, record.client_order_id)
    controls = (check_levels, check_market, check_unknown, check_grid, check_expiry)
    return _first(controls, question) or check_covered(question, amend.worst)


def _unknown(market: Ticker) -> Refusal:
    return Refusal("P2", "the market is known", market, "a market of the universe")


def _first(controls: tuple[Callable[[Question], Refusal | None], ...], question: Question) -> Refusal | None:
    """Of the first control that refuses; those behind it are not asked."""
    return next((refusal for control in controls if (refusal := control(question))), None)


def _rests(record: OrderRecord, count: Count) -> Refusal | None:
    """Only what rests is amended, and only to more than is filled."""
    if not record.ours or not record.rests:
        return Refusal("amend", "an order of ours rests", record.state if record.ours else "not ours", "resting")
    if count <= record.filled:
        return Refusal("amend", "more than is filled", contracts(count), contracts(record.filled))
    return None


def _question(at: Situation, market: Market, spec: OrderSpec, purpose: str, own: str = "") -> Question:
    return Question(
        spec=spec,
        purpose=purpose,
        own=own,
        ledger=at.ledger,
        market=market,
        book=at.book,
        levels=at.levels,
        now_ms=at.now_ms,
        limits=at.limits,
    )


def _spec(proposal: ProposeOrder, market: Market, at: Situation) -> OrderSpec:
    rests = proposal.time_in_force is TimeInForce.GOOD_TILL_CANCELED
    return OrderSpec(
        market=proposal.market,
        side=proposal.side,
        price=proposal.price,
        count=proposal.count,
        time_in_force=proposal.time_in_force,
        post_only=proposal.post_only,
        reduce_only=proposal.reduces,
        expires_s=at.now_ms // SECOND_MS + at.limits.order_life_s if rests else None,  # P22
        exchange_index=market.exchange_index,
    )
