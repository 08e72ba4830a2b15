"""What follows from a fact: commands."""

from __future__ import annotations

from account_facts import NOON, acked, apply_all, fill, intended, key, ledger_of, order_spec, reduction_spec, seen, sent

from kalshi_daemon.commands import CancelOrder, Command, FetchFills, PlaceOrder, Poke, RaiseAlarm
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.facts import (
    AccountFact,
    CancelRefused,
    CancelSent,
    HoldKind,
    HoldLifted,
    RestrictionKind,
    RestrictionLifted,
    RestrictionPlaced,
)

RESTRICTED = RestrictionPlaced(NOON, RestrictionKind.CASH_RESERVE, "low")


def commands_of(ledger: Ledger, fact: AccountFact) -> list[Command]:
    """What the bus does with a fact: fold, then decide."""
    return OrderManager().decide(ledger, fact, ledger.apply(fact))


def cancel_of(number: int) -> CancelOrder:
    return CancelOrder(key(number), f"o{number}", order_spec().market, 0, "cash_reserve")


def test_an_intent_is_placed_once() -> None:
    """A repeated intent places nothing: its request has left already."""
    ledger = ledger_of()
    assert commands_of(ledger, intended()) == [PlaceOrder(key(1), order_spec())]
    assert commands_of(ledger, intended()) == []


def test_holds_and_restrictions_are_poked() -> None:
    """Placing, placing with another cause, and lifting; what changed nothing pokes nobody."""
    ledger = ledger_of()
    placed = hold(HoldKind.OPERATOR, "pause", NOON)
    assert commands_of(ledger, placed) == [Poke("hold_placed")]
    assert commands_of(ledger, placed) == []
    assert commands_of(ledger, HoldLifted(NOON, HoldKind.OPERATOR, "", "resume")) == [Poke("holds_lifted")]
    assert commands_of(ledger, RESTRICTED) == [Poke("restriction_placed")]
    lifted = RestrictionLifted(NOON, RestrictionKind.CASH_RESERVE, "cash")
    assert commands_of(ledger, lifted) == [Poke("restrictions_lifted")]


def test_what_cannot_be_alarms_and_pokes() -> None:
    """The hold is placed already; the chart is told to look, a person too."""
    ledger = ledger_of(intended())
    alarm = RaiseAlarm("divergence", f"order {key(1)}: acked_open while intended")
    assert commands_of(ledger, acked()) == [alarm, Poke("hold_placed")]


def test_missing_fills_are_fetched() -> None:
    """A read that says executed, short of our fills."""
    ledger = ledger_of(intended(), sent(), acked(), fill("a", count=4))
    commands = commands_of(ledger, seen(status="executed", filled=10, source="read"))
    assert commands == [FetchFills("o1", "the exchange counts fills that are not here")]


def test_a_restriction_cancels_what_rests_and_increases() -> None:
    """Reductions, foreign orders and orders without an id at the exchange are left alone."""
    ledger = ledger_of(intended(1), sent(1), acked(1), intended(2), sent(2), intended(3, reduction_spec()), sent(3))
    ledger.apply(seen(order_id="x1", client_order_id=""))
    ledger.apply(HoldLifted(NOON, HoldKind.FOREIGN, "", "ignore"))
    assert commands_of(ledger, RESTRICTED) == [Poke("restriction_placed"), cancel_of(1)]
    assert commands_of(ledger, CancelSent(NOON, key(1))) == []


def test_an_order_that_comes_to_rest_under_a_restriction_goes() -> None:
    """It had left before the restriction was placed."""
    ledger = ledger_of(intended(), sent(), RESTRICTED)
    assert commands_of(ledger, acked()) == [cancel_of(1)]


def test_a_refused_cancel_is_not_sent_again_at_once() -> None:
    """Otherwise a 429 would be asked again at the speed of the network."""
    ledger = ledger_of(intended(), sent(), acked(), RESTRICTED, CancelSent(NOON, key(1)))
    assert commands_of(ledger, CancelRefused(NOON, key(1), 429, "too_many_requests", "")) == []
    assert ledger.orders[key(1)].state == "resting"


def test_under_a_hold_the_sweep_cancels() -> None:
    """A second cancel from here would end in a 404, which proves nothing."""
    ledger = ledger_of(intended(), sent(), acked(), hold(HoldKind.SYNC, "silent", NOON))
    assert commands_of(ledger, RESTRICTED) == [Poke("restriction_placed")]


def test_an_order_accepted_under_a_hold_pokes_for_another_sweep() -> None:
    """The level says that a sweep is wanted; the poke tells the chart to look."""
    ledger = ledger_of(intended(), sent(), hold(HoldKind.SYNC, "silent", NOON))
    assert commands_of(ledger, acked()) == [Poke("hold_placed")]


def test_replay_gives_no_commands() -> None:
    """Folding asks nobody: the ledger's changes are values, and only `decide` makes commands of them."""
    ledger = ledger_of()
    assert apply_all(ledger, intended(), sent(), acked())
    assert commands_of(ledger, sent(1)) != []  # a second send of one intent cannot be: an alarm
