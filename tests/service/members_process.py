"""The local exchange as a process, with several members: `python members_process.py SEED ACCOUNTS FOLDER`.

`kalshi-daemon emulator` serves the same with one. The variables of each are printed as a line of JSON; it ends with its
standard input.
"""

from __future__ import annotations

import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.emulator.world import WorldSettings, make_world
from kalshi_daemon.local_exchange import CASH, LOOPBACK, environment_of
from kalshi_daemon.shell.clock import SystemClock

READ_LAG_MS: Final = 360  # as measured at the exchange


async def serve(seed: int, accounts: int, folder: Path) -> None:
    settings = WorldSettings(
        exchange=ExchangeSettings(weekly_pause=False),
        server=ServerSettings(read_lag_ms=READ_LAG_MS, limits=RateLimits.of_tier("premier")),
        crowd=CrowdSettings(events_per_s=2.0),
    )
    world = make_world(settings, SystemClock().now_ms, random.Random(seed))
    keys = [world.server.join(CASH) for _ in range(accounts)]
    async with trio.open_nursery() as nursery:
        port = await nursery.start(run_emulator, LOOPBACK, 0, world.server)
        for number, key in enumerate(keys):
            place = folder / f"member{number}"
            place.mkdir(parents=True)
            sys.stdout.write(json.dumps(dict(environment_of(world, key, port, place))) + "\n")
            sys.stdout.flush()
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(partial(serve, int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
