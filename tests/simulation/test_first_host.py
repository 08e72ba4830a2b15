"""Two hosts of one exchange, of which the first is worth nothing: the daemon trades through the second."""

from __future__ import annotations

import pytest
import trio
from stages import LIVELY

from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.simulation.faulty_link import Fault, FaultyLink, refused
from kalshi_daemon.simulation.virtual_day import HOST, PORT, Stage, run_virtually

FIRST = "first.test"
DOWN = refused("503 Service Unavailable", b'{"error":{"code":"service_unavailable"}}')
HOSTS = {"KALSHI_REST_URLS": f"https://{FIRST}/trade-api/v2,https://{HOST}/trade-api/v2"}
STARTS_S = 120
TRADES_S = 600


async def silence(_stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("begins_s", [0, 60], ids=["from the start", "while it trades"])
@pytest.mark.parametrize("kind", ["down", "silent"])
def test_a_first_host_that_answers_nothing_is_turned_away_from(kind: str, begins_s: int) -> None:
    """It starts, orders are filled, and the stop proves that nothing rests."""
    filled: list[int] = []

    async def scenario(stage: Stage) -> None:
        link = FaultyLink(stage.world.server.handle)
        stage.network.serve(FIRST, PORT, link.handle)

        def judge(_method: str, _target: str) -> Fault | None:
            return DOWN if kind == "down" and trio.current_time() >= begins_s else None

        link.judge = judge
        ledger = stage.daemon.parts.ledger
        if kind == "silent" and begins_s:
            await trio.sleep(begins_s)
        if kind == "silent":
            stage.network.serve(FIRST, PORT, silence)
            stage.network.cut()
        with trio.fail_after(begins_s + STARTS_S):
            while not stage.daemon.runner.is_in("trading.normal"):  # noqa: ASYNC110 - the virtual clock makes waiting free
                await trio.sleep(1)
        await trio.sleep(max(0, begins_s - trio.current_time()))
        before = ledger.fills_booked
        with trio.fail_after(TRADES_S):
            while ledger.fills_booked < before + 3:  # noqa: ASYNC110 - as above
                await trio.sleep(1)
        filled.append(ledger.fills_booked)

    run = run_virtually(1, scenario, LIVELY, HOSTS)
    assert filled
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
