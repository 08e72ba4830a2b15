"""What the daemon makes of an order's refusal, which outranks the status of the market and of the exchange."""

from __future__ import annotations

import logging

import structlog
import trio
from daemon_world import LIVELY, exchange_site

from kalshi_daemon.simulation.faulty_link import refused

ORDERS = "/portfolio/events/orders"


def conflict(code: str):
    return refused("409 Conflict", b'{"error":{"code":"%s","message":"no"}}' % code.encode())


async def test_a_market_that_refuses_is_inactive_and_said_to_be(autojump_clock):
    """One 409 is enough; the change is handed on as every other of a market is, and two reads later it is active."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with structlog.testing.capture_logs() as logged:
        async with exchange_site(LIVELY) as site:
            running = site.start()
            await running.until("trading.normal")
            site.fail(("POST", ORDERS, conflict("trading_is_paused")))
            await running.until(lambda: any(line["event"] == "market" for line in logged))
            site.mend()
            (first, *_) = (line for line in logged if line["event"] == "market")
            assert (first["before"], first["status"]) == ("active", "inactive")
            market = running.parts.universe.market(first["ticker"])
            assert market is not None
            assert market.status == "inactive"
            with trio.fail_after(200):
                while running.parts.universe.market(first["ticker"]).status != "active":  # noqa: ASYNC110
                    await trio.sleep(1)
            assert await running.stop() == 0


async def test_an_exchange_that_refuses_is_held(autojump_clock):
    """Its own status lifts the hold again, saying active twice."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        site.fail(("POST", ORDERS, conflict("exchange_is_paused")))
        await running.until("paused")
        assert running.held() == ["exchange"]
        site.mend()
        await running.until("trading.normal")
        assert running.held() == []
        assert await running.stop() == 0
