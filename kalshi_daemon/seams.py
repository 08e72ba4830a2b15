"""What the daemon takes from outside: time, network, randomness, disk, threads. The simulation hands in others.

Nothing else in the project reads a clock, opens a socket or draws a random number by itself.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from attrs import frozen

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.door import Door
from kalshi_daemon.shell.journal import RunInThread
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.signer import Signs
from kalshi_daemon.shell.state_reporter import StatusProvider

View = Callable[[StatusProvider], Awaitable[None]]


@frozen
class Practice:
    """An account elsewhere than at the exchange whose markets are traded: where it is, and what is told of the
    markets and their books.
    """

    rest: Door
    ws: Door
    universe: MarketUniverse
    on_book: Callable[[OrderBook], None]


@frozen
class Seams:
    """`abort` ends the process at once with an exit code, for a task that does not end when it is told to. `journal` is
    a path or ":memory:"; `view` shows the daemon in a terminal and never returns, None: nothing is shown.
    """

    clock: Clock
    network: Network
    rng: random.Random
    run_in_thread: RunInThread
    stopwatch: Callable[[], float]
    load_signer: Callable[[], Signs]
    journal: Path | str
    kill_latch: Path
    variables: Mapping[str, str]
    listens: bool  # whether control and metrics open their sockets
    view: View | None
    abort: Callable[[int], None]
    practice: Practice | None = None  # a dry run
