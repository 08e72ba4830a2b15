"""A whole exchange to trade on, ready made: the invented markets with their crowd, or a recording's books.

It serves the demo, the emulator's own command and the simulation, so that all three trade on the same thing.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import field, frozen

from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.faults import PlannedFault
from kalshi_daemon.emulator.markets import DEMO_FAIR, demo_markets, demo_series
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.playback import Playback
from kalshi_daemon.emulator.recording import Recording
from kalshi_daemon.emulator.server import EmulatorServer
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.tls import Tls
from kalshi_daemon.units import Milliseconds, Ticker


@frozen
class WorldSettings:
    """`recording` None: the invented markets; `speed` then means nothing. `closing_in_ms`: one market ends so soon.
    The times of `faults` count from when the world is made.
    """

    exchange: ExchangeSettings = field(factory=ExchangeSettings)
    server: ServerSettings = field(factory=ServerSettings)
    crowd: CrowdSettings = field(factory=CrowdSettings)
    recording: Recording | None = None
    speed: float = 1.0
    closing_in_ms: Milliseconds | None = None
    faults: tuple[PlannedFault, ...] = ()


@frozen(eq=False)
class World:
    server: EmulatorServer
    tickers: tuple[Ticker, ...]


def make_world(
    settings: WorldSettings, now_ms: Callable[[], Milliseconds], rng: random.Random, tls: Tls | None = None
) -> World:
    """Books are there when it returns; time passes while the server runs."""
    exchange = Exchange(settings.exchange, now_ms, rng)
    drive: Callable[[Milliseconds], object]
    if settings.recording is not None:
        playback = Playback(settings.recording, settings.speed)
        playback.open(exchange, now_ms())
        drive, tickers = playback.due, playback.tickers
    else:
        series = demo_series(settings.exchange.exchange_indexes)
        for each in series:
            exchange.add_series(each)
        for market in demo_markets(now_ms(), settings.closing_in_ms, series):
            exchange.add_market(market)
        crowd = Crowd(exchange, DEMO_FAIR, settings.crowd, rng)
        crowd.step(now_ms())
        drive, tickers = crowd.step, tuple(DEMO_FAIR)
    server = EmulatorServer(exchange, {}, settings.server, now_ms, rng, [drive], tls)
    for fault in settings.faults:
        server.faults.add(fault)
    return World(server, tickers)
