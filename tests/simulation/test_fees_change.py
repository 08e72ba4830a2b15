"""Fees that change while the daemon trades: what it sets aside and expects are the exchange's own figures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from stages import LIVELY

from kalshi_daemon.core.fees import fill_fee
from kalshi_daemon.core.risk import worst_cost
from kalshi_daemon.emulator.events import Event, Filled
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import OrderIntended, SeriesFees
from kalshi_daemon.limits import MARKETS_READ_S
from kalshi_daemon.shell.event_bus import News
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import FeeType, Money, Ticker

COMBO, MAKERS = FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, FeeType.QUADRATIC_WITH_MAKER_FEES
ENOUGH = 3  # orders, and fills, of each phase
ANNOUNCED_MS = round(1_250 * MARKETS_READ_S)  # before a change: a round reads of it by then


class Clerk:
    """Judges each reservation by the exchange's schedule of that moment, and each fill by the daemon's."""

    def __init__(self, stage: Stage) -> None:
        self.exchange = stage.world.server.exchange
        self.universe = stage.daemon.parts.universe
        self.orders = self.fills = 0
        self.differing: list[str] = []
        self._gathered: dict[str, Money] = {}  # the rounding of each order
        self._own = {account.user_id for account in self.exchange.accounts.values()}
        self._changing = False
        stage.daemon.parts.bus.listen(self._on_news)
        self.exchange.listen(self._on_event)

    def charged(self, market: Ticker) -> SeriesFees:
        series = self.exchange._venue.states[market].series
        return SeriesFees(series.ticker, series.fee_type, series.multiplier_ppm)

    def _on_news(self, news: News) -> None:
        intent = news.fact
        if isinstance(intent, OrderIntended) and not intent.spec.reduce_only:
            self.orders += 1
            market = self.universe.markets[intent.spec.market]
            worst = worst_cost(intent.spec, self.charged(market.ticker), market.grain)
            self._compare(f"reserved for {intent.spec}", intent.reserve, worst)

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, Filled) or event.account not in self._own:
            return
        self.fills += 1
        fill, fees = event.fill, self.universe.markets[event.fill.market].fees
        assert fees is not None, "it was traded"
        before = self._gathered.get(fill.order_id, 0)
        expected = fill_fee(fees, fill.side, fill.price, fill.count, before, is_taker=fill.is_taker)
        self._gathered[fill.order_id] = expected.accumulated
        self._compare(f"expected of {fill}", expected.fee, fill.fee)

    def _compare(self, what: str, ours: Money, theirs: Money) -> None:
        if ours != theirs and not self._changing:
            self.differing.append(f"{what}: {ours}, at the exchange {theirs}")

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Until the word of a change is here nobody can count by it: that moment alone is left out."""
        self._changing = True
        yield
        await until(lambda: all(each.fees == self.charged(ticker) for ticker, each in self.universe.markets.items()))
        self._changing = False

    async def until_more(self) -> None:
        orders, fills = self.orders + ENOUGH, self.fills + ENOUGH
        await until(lambda: self.orders >= orders and self.fills >= fills)


async def until(there: Callable[[], bool]) -> None:
    with trio.fail_after(3_600):
        while not there():  # noqa: ASYNC110 - the virtual clock makes waiting free
            await trio.sleep(0.05)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_change_while_trading_reaches_the_next_order_and_the_next_fill(seed: int) -> None:
    """Overrides set, a series' schedule that was announced, overrides cleared: each order reserves and each fill pays
    by the schedule of its moment, and the account agrees to the micro-dollar.
    """

    async def scenario(stage: Stage) -> None:
        await until(lambda: stage.daemon.runner.is_in("trading.normal"))
        clerk = Clerk(stage)
        exchange = clerk.exchange
        await clerk.until_more()
        for event in exchange.events:
            async with clerk.changing():
                exchange.override_fees(event, COMBO, 1_750_000)
        await clerk.until_more()
        for event in exchange.events:
            async with clerk.changing():
                exchange.override_fees(event, None, None)
        await clerk.until_more()
        due_ms = exchange.now_ms + ANNOUNCED_MS
        for series in exchange.series:
            exchange.change_series_fees(series, MAKERS, 250_000, due_ms)
        await until(lambda: exchange.now_ms >= due_ms - 100)
        async with clerk.changing():
            await until(lambda: all(each.fee_type is MAKERS for each in exchange.series.values()))
        await clerk.until_more()
        assert {each.fees.fee_type for each in clerk.universe.markets.values() if each.fees} == {MAKERS}
        assert clerk.differing == []

    run = run_virtually(seed, scenario, LIVELY, {"KALSHI_PRICING": "join"} if seed == 2 else {})
    assert run.violated == ()
    assert run.exit_code == EXIT_STOPPED
    assert run.compared > 0
