"""Why the account does not agree is said to who asks, and in the log once it lasts."""

from __future__ import annotations

import logging

import pytest
import structlog
import trio
from account_world import account_world
from daemon_world import QUIET, exchange_site

from kalshi_daemon.emulator.model import NewOrder
from kalshi_daemon.shell.calibration_service import RESTING_AT_THE_OPENING
from kalshi_daemon.shell.control import ControlRequest
from kalshi_daemon.shell.last_audit import LastAudit
from kalshi_daemon.simulation.faulty_link import UNAVAILABLE
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide, TimeInForce


@pytest.fixture(autouse=True)
def _info() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))


async def test_a_start_that_an_order_by_hand_keeps_from_opening_says_so(autojump_clock):
    """An empty journal and an order that rests: `why` says what keeps the account from being opened, whatever the
    trader's state is. Adopted, the order goes with the sweep of a recovery, and the account is opened.
    """
    async with exchange_site(QUIET) as site:
        order = NewOrder(min(site.exchange.markets), BookSide.BID, PRICE_CENT, CONTRACT, TimeInForce.GOOD_TILL_CANCELED)
        site.exchange.create_order(site.account, order)
        with structlog.testing.capture_logs() as logged:
            daemon = site.start()
            ask = daemon.daemon.tasks.operations()
            await daemon.until(lambda: daemon.held() == ["foreign"])
            await ask["adopt"](ControlRequest("adopt", "mine", cancel=False, who="uid 7"))
            await daemon.until("recovering")
            while not daemon.ledger.opened:
                said = str(await ask["why"](ControlRequest("why", "", cancel=False, who="uid 7")))
                assert f"an audit of the whole account agrees; the last one: 1 {RESTING_AT_THE_OPENING}" in said
                await trio.sleep(1)
            await daemon.until("trading.normal")
        assert daemon.states().count("calibrating") > 2
        await daemon.stop()
    told = [line.get("why", "") for line in logged if line["event"].startswith("account_")]
    assert told == [f"1 {RESTING_AT_THE_OPENING}", ""]


async def test_an_agreed_account_that_stays_unsettled_says_why(autojump_clock):
    """The exchange's reads come to be old: the agreement stands, the status says what the last look met, and so it is
    where a read fails.
    """
    async with account_world() as world:
        assert world.calibration.detail == ""
        world.fail("GET", "/portfolio/balance", UNAVAILABLE)
        with trio.move_on_after(120):
            await world.sync.run()
        assert world.ledger.account_agreed
        assert "503" in world.calibration.detail
        world.mend()
        await world.calibration.compare()
        assert world.calibration.detail == ""


async def test_the_log_says_what_lasts_and_not_each_look(autojump_clock):
    """From the fourth look in a row; another cause after a minute; and the agreement that ends it."""
    last = LastAudit()
    with structlog.testing.capture_logs() as logged:
        for detail in ("a", "b", "a", ""):
            last.note(detail)
        assert logged == []
        for number in range(10):
            last.note(f"late by {number}")
            await trio.sleep(10)
        last.note("")
    assert [line.get("why", line["event"]) for line in logged] == ["late by 3", "late by 9", "account_agrees"]
