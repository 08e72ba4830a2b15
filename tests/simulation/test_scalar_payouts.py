"""Markets that are settled under a trading daemon at a value between cents: the account stays the exchange's."""

from __future__ import annotations

import random

import pytest
import trio
from stages import until_trading
from test_ten_thousand_orders import Restless

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import AccountDiffers, AccountFact, SettlementSeen
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import CENT, FEE_GRAIN

VALUE = 4_321
SOON_S = 600.0  # within which a market is held once, and one that is settled is paid
AUDITED_S = 45.0


@pytest.mark.parametrize(("seed", "grain"), [(1, FEE_GRAIN), (2, CENT)], ids=["direct member", "by the cent"])
def test_scalars_between_cents_pay_to_the_micro_dollar(seed: int, grain: int) -> None:
    """Each market is settled while contracts of it are held, and nothing is taken for drift."""
    draw = random.Random(seed)
    facts: list[AccountFact] = []

    async def scenario(stage: Stage) -> None:
        parts, exchange = stage.daemon.parts, stage.world.server.exchange
        parts.bus.listen(lambda news: facts.append(news.fact))
        await until_trading(stage, 60)
        assert parts.policy.actor is not None
        parts.policy.actor._selector = Restless(draw)
        markets = stage.world.tickers[:2]
        for market in markets:
            with trio.fail_after(SOON_S):
                while not parts.ledger.position(market):  # noqa: ASYNC110 - virtual time
                    await trio.sleep(1)
            exchange.settle(market, "scalar", VALUE)
        with trio.fail_after(SOON_S):
            while not all(map(parts.ledger.is_settled, markets)):  # noqa: ASYNC110 - virtual time
                await trio.sleep(1)
        await trio.sleep(AUDITED_S)

    settings = WorldSettings(ExchangeSettings(balance_grain=grain), crowd=CrowdSettings(events_per_s=1.0))
    run = run_virtually(seed, scenario, settings, {"KALSHI_PRICING": "join"})
    paid = [fact for fact in facts if isinstance(fact, SettlementSeen)]
    assert [fact.value for fact in paid if fact.count] == [VALUE, VALUE]
    assert [fact for fact in facts if isinstance(fact, AccountDiffers)] == []
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.compared > 0
