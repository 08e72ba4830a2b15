"""What the exchange cancels by itself, reason by reason: the order is over, nothing stays reserved, nothing is held."""

from __future__ import annotations

import pytest
from account_world import account_world
from attrs import evolve

from kalshi_daemon.core.order_inputs import CANCELS, EXPIRED
from kalshi_daemon.facts import OrderSeen

REASONS = sorted({*CANCELS, EXPIRED} - {"", "Trade"})


@pytest.mark.parametrize("source", ["stream", "read"])
@pytest.mark.parametrize("reason", REASONS)
async def test_each_reason_ends_the_order_and_frees_its_reserve(autojump_clock, reason, source):
    """The order as the exchange shows it, gone for each reason: told with the reason, or read without it."""
    async with account_world() as world:
        order = await world.order()
        assert world.ledger.reserved_total > 0
        resting = await world.rest.order(world.record(order).order_id)
        gone = evolve(resting, source=source, status="canceled", remaining=0, updated_ms=resting.updated_ms + 1)
        await world.bus.settle(evolve(gone, reason=reason if source == "stream" else ""))
        await world.told()
        assert world.state(order) == ("expired" if (reason, source) == (EXPIRED, "stream") else "cancelled")
        assert world.ledger.reserved_total == 0
        assert list(world.ledger.open_orders()) == []
        assert world.held() == []
        assert [fact.status for fact in world.of(OrderSeen)] == ["canceled"]


def test_all_eight_reasons_are_asked():
    """As many as the exchange documents."""
    assert len(REASONS) == 8
