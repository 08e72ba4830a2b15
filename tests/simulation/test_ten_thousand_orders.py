"""Thousands of orders on two shards, every fault of the exchange, and a market that settles meanwhile: the account
inside equals the emulator's, to the micro-dollar.

`ORDERS=10000` in the environment is a nightly run (`make nightly`).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Final

import numpy as np
import trio
from stages import until_trading
from test_faults_survived import CALM_S, DROPS, FAULTS, KNOWN_S

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faults import KINDS
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import AccountDiffers, AccountFact, FillSeen, OrderSent, SettlementSeen
from kalshi_daemon.policy.action_selector import Actions, Mask, Observation, only_allowed
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually

ORDERS: Final = int(os.environ.get("ORDERS", "100"))
SEED: Final = 11
ALL_BITTEN: Final = 1_000  # orders within which every kind of fault has met something
FAULTY_S: Final = 8.0  # one fault after another is on for so long
CLOSED_S: Final = 5.0  # from the close of the market that settles to its result
SETTINGS: Final = WorldSettings(
    exchange=ExchangeSettings(exchange_indexes=(0, 1)),
    crowd=CrowdSettings(events_per_s=1.0),
    server=ServerSettings(read_lag_ms=360),
)


class Restless:
    """A policy without sense, at every second look: any action that the mask allows."""

    name = model = "restless"

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def select(self, observation: Observation, mask: Mask) -> Actions:
        rows = [self._draw.randrange(mask.shape[1]) if self._draw.random() < 0.5 else 0 for _ in observation]
        return only_allowed(np.array(rows, dtype=np.int64), mask)


async def one_by_one(stage: Stage, draw: random.Random, bitten: set[str]) -> None:
    """All the faults in turn and without end, in an order of chance; in between it comes back to trading."""
    faults = stage.world.server.faults
    while True:
        texts = [text for texts in FAULTS.values() for text in texts]
        draw.shuffle(texts)
        for text in texts:
            planned = parse_fault(text)
            faults.add(planned)
            if planned.fault.kind.word in DROPS:
                stage.network.cut()
            await trio.sleep(FAULTY_S)
            bitten.update(kind.word for kind in KINDS if faults.bites(kind))
            faults.clear()
            await until_trading(stage, CALM_S)
            stage.audit.look()


async def settle_what_is_held(stage: Stage) -> None:
    """The first market in which we hold something closes, whatever rests in it, and has a result while faults go on."""
    exchange = stage.world.server.exchange
    (account,) = exchange.accounts.values()
    while not (held := [market for market, each in account.positions.items() if each.count]):  # noqa: ASYNC110 - virtual time
        await trio.sleep(1)
    exchange.move_close(held[0], exchange.now_ms)
    await trio.sleep(CLOSED_S)
    exchange.settle(held[0], "yes")


def test_the_account_is_exact_after_thousands_of_orders() -> None:
    """No order goes out twice, faults bite (in a long run every kind of them), and both accounts are one."""
    draw = random.Random(SEED)
    facts: list[AccountFact] = []
    bitten: set[str] = set()

    async def scenario(stage: Stage) -> None:
        seen: Counter[type[AccountFact]] = Counter()
        stage.daemon.parts.bus.listen(lambda news: facts.append(news.fact))
        stage.daemon.parts.bus.listen(lambda news: seen.update((type(news.fact),)))
        await until_trading(stage, 60)
        assert stage.daemon.parts.policy.actor is not None
        stage.daemon.parts.policy.actor._selector = Restless(draw)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one_by_one, stage, draw, bitten)
            nursery.start_soon(settle_what_is_held, stage)
            while seen[OrderSent] < ORDERS or not seen[SettlementSeen]:  # noqa: ASYNC110 - virtual time
                await trio.sleep(5)
            nursery.cancel_scope.cancel()
        stage.world.server.faults.clear()
        await until_trading(stage, CALM_S)
        await trio.sleep(KNOWN_S)

    run = run_virtually(SEED, scenario, SETTINGS, {"KALSHI_PRICING": "join"})
    sent = [fact.client_order_id for fact in facts if isinstance(fact, OrderSent)]
    assert len(sent) == len(set(sent)) >= ORDERS
    assert [fact for fact in facts if isinstance(fact, AccountDiffers)] == []
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.compared > 0
    assert {fact.exchange_index for fact in facts if isinstance(fact, FillSeen)} == {0, 1}
    assert sum(isinstance(fact, SettlementSeen) for fact in facts) == 1
    assert bitten
    if ORDERS >= ALL_BITTEN:
        assert bitten == {kind.word for kind in KINDS}
