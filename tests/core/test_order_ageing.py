"""Orders that have rested past their age: which are taken back, and which are not."""

from __future__ import annotations

from account_facts import NOON, acked, intended, key, ledger_of, seen, sent

from kalshi_daemon import facts
from kalshi_daemon.core.order_ageing import past_their_age

AGE_MS = 300_000


def old(ledger, at_ms):
    return [each.client_order_id for each in past_their_age(ledger, at_ms, AGE_MS)]


def test_an_order_is_past_its_age_a_moment_after_it():
    """From the moment it was asked for; a clock that was set back ages nothing."""
    ledger = ledger_of(intended(), sent(), acked())
    asked_ms = ledger.orders[key(1)].asked_ms
    assert old(ledger, asked_ms + AGE_MS) == []
    assert old(ledger, asked_ms + AGE_MS + 1) == [key(1)]
    assert old(ledger, asked_ms - 10 * AGE_MS) == []


def test_a_refused_cancel_is_asked_again_after_as_long_again():
    """Not at every look: an exchange that takes no cancels is not asked each second."""
    asked_ms = NOON + 2 * AGE_MS
    refused = facts.CancelRefused(asked_ms + 50, key(1), 409, "trading_is_paused", "")
    ledger = ledger_of(intended(), sent(), acked(), facts.CancelSent(asked_ms, key(1)), refused)
    assert old(ledger, asked_ms + AGE_MS) == []
    assert old(ledger, asked_ms + AGE_MS + 1) == [key(1)]


def test_what_is_not_known_to_rest_is_not_asked_back():
    """In flight, unknown, being cancelled, over, or of another hand."""
    late = NOON + 10 * AGE_MS
    assert old(ledger_of(intended(), sent()), late) == []
    assert old(ledger_of(intended(), sent(), facts.OrderLost(NOON, key(1), "timeout")), late) == []
    assert old(ledger_of(intended(), sent(), acked(), facts.CancelSent(NOON, key(1))), late) == []
    assert old(ledger_of(seen(order_id="x1", client_order_id="somebody")), late) == []
