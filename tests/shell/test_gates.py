"""The gates: a proposal becomes an intent or a refusal with a code, and the power to propose ends with its state."""

from __future__ import annotations

import pytest
from account_world import A, account_world, proposal
from attrs import evolve

from kalshi_daemon.core.risk import Levels
from kalshi_daemon.errors import Withheld
from kalshi_daemon.facts import AccountDoubted, HoldKind, OrderIntended, RestrictionKind, RestrictionPlaced
from kalshi_daemon.units import PRICE_CENT, BookSide


async def test_a_proposal_that_passes_is_an_intent_with_its_worst_cost_set_aside(autojump_clock):
    """Two proposals in one batch: each is decided with the other's reservation already made."""
    async with account_world() as world:
        for cents in (40, 41):
            world.propose(A, cents=cents)
        await world.told()
        first, second = world.of(OrderIntended)
        assert [each.client_order_id for each in (first, second)] == ["kd-run1-1", "kd-run1-2"]
        assert first.spec.price == 40 * PRICE_CENT
        assert first.spec.expires_s == world.clock.exchange_now_ms() // 1_000 + 900
        assert (first.reserve, second.reserve) == (80 * 10_000, 82 * 10_000)  # two contracts each; makers pay no fee
        assert world.ledger.reserved_total == first.reserve + second.reserve
        await world.written()


async def test_a_refusal_is_counted_and_leaves_no_fact(autojump_clock):
    """Nothing is journaled for what is refused; the code, the figure and the limit are kept for people."""
    async with account_world() as world:
        before = world.ledger.version
        world.propose(A, count=26)
        await world.bus.drain()
        assert world.ledger.version == before
        assert world.gates.refused == {"P4": 1}
        at_ms, market, refusal = world.gates.last_refusal
        assert (at_ms, market) == (world.clock.now_ms(), A)
        assert (refusal.code, refusal.figure, refusal.limit) == ("P4", "26", "25")


async def spoil_nothing(world):
    pass


async def hold(world):
    await world.place_hold(HoldKind.OPERATOR)


async def restrict(world):
    await world.bus.settle(RestrictionPlaced(world.clock.now_ms(), RestrictionKind.POLLED_BOOKS, "a test"))


async def doubt(world):
    await world.bus.settle(AccountDoubted(world.clock.now_ms(), "a test"))


async def recover(world):
    world.levels = Levels("recovering.reconnecting", feeds_usable=True, breaker_allows=True)


async def lose_feeds(world):
    world.levels = evolve(world.levels, feeds_usable=False)


async def break_writes(world):
    for _ in range(3):
        world.breaker.failed(world.clock.now_ms() / 1000, "a test")


@pytest.mark.parametrize(
    ("spoil", "increase", "reduction"),
    [
        (spoil_nothing, True, True),
        (hold, False, True),
        (restrict, False, True),
        (lose_feeds, False, True),
        (doubt, False, False),
        (recover, False, False),
        (break_writes, False, False),
    ],
)
async def test_what_closes_a_gate_is_asked_again_at_the_socket(autojump_clock, spoil, increase, reduction):
    """Each level that closes a gate for an intent made before: refused then, and for a reduction only where it must."""
    async with account_world() as world:
        await world.position(A, 4)
        world.crowd(A, BookSide.BID, 38, count=1)
        world.bucket.refused(0.0)
        world.bucket.resize(100, 0.001, 0.0)
        world.propose(A, cents=30)
        world.reduce(A, cents=38)
        await world.bus.drain()
        resting, reducing = (each.client_order_id for each in world.ledger.live())
        await spoil(world)
        for order, passes in ((resting, increase), (reducing, reduction)):
            if passes:
                world.gates.ask(order)
            else:
                with pytest.raises(Withheld) as withheld:
                    world.gates.ask(order)
                assert withheld.value.code == "P1"


async def test_a_gate_is_shut_when_its_state_is_left(autojump_clock):
    """Proposing afterwards is a mistake of ours, also where the state was left by a crash."""
    async with account_world() as world:
        posted = []
        with pytest.raises(ZeroDivisionError), world.gates.opened(posted.append, increases=True) as gate:  # noqa: PT012
            gate.propose(proposal())
            raise ZeroDivisionError
        with pytest.raises(AssertionError, match="after its state was left"):
            gate.propose(proposal())
        assert posted == [proposal()]


async def test_a_gate_for_reductions_lets_no_increase_be_proposed(autojump_clock):
    """What the closing rules hold in `paused` is not the power to increase, whatever the risk gate would say."""
    async with account_world() as world:
        posted = []
        with world.gates.opened(posted.append, increases=False) as gate:
            gate.propose(evolve(proposal(), reduces=True))
            with pytest.raises(AssertionError, match="at a gate for reductions"):
                gate.propose(proposal())
        assert [each.reduces for each in posted] == [True]
