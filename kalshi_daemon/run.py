"""`kalshi-daemon run`: one daemon on the real clock, the real network and the real disk.

Rules:
- The signals that stop it are heard from before its first step until after its last. One that comes earlier finds
  nothing open and ends the process as it ends any other; one that comes later changes nothing.
- SIGHUP of a process without a terminal is a person's or the service manager's: the model is read again. Of one that
  has a terminal it says that this went away, and stops it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from kalshi_daemon.config import Config
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.seams import Seams, View
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.network import SystemNetwork
from kalshi_daemon.shell.signer import load_signer

JOURNAL: Final = "journal.sqlite3"
KILL_LATCH: Final = "kill"


def system_seams(config: Config, view: View | None) -> Seams:
    """What the machine has to give."""
    state: Path = config.state_dir
    return Seams(
        clock=SystemClock(),
        network=SystemNetwork(),
        rng=random.Random(),  # noqa: S311 - jitter and ids, not secrets
        run_in_thread=trio.to_thread.run_sync,
        stopwatch=time.perf_counter,
        load_signer=lambda: load_signer(config.api_key_id, config.private_key_file),
        journal=state / JOURNAL,
        kill_latch=state / KILL_LATCH,
        variables=os.environ,
        listens=True,
        view=view,
        abort=os._exit,  # trio cannot abandon a task; systemd starts a process again
    )


def run_daemon(config: Config) -> int:
    """Trade the account of this configuration until stopped. The exit code."""
    return trio.run(_live, config)


async def _live(config: Config) -> int:
    with stop_signals() as signals:
        daemon, heed = Daemon(config, system_seams(config, None)), stop_at_signals
        if not has_terminal():
            heed = reload_or_stop_at_signals
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heed, daemon, signals)
            code = await daemon.run()
            nursery.cancel_scope.cancel()
    return code


@contextmanager
def stop_signals() -> Iterator[AsyncIterator[int]]:
    """Ctrl-C and SIGTERM; and SIGHUP, unless whoever started us had that ignored (nohup)."""
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    numbers = (signal.SIGINT, signal.SIGTERM, *hangup)
    try:
        with trio.open_signal_receiver(*numbers) as signals:
            yield signals
    finally:
        for number in numbers:  # it has ended, and its exit code is to say how
            signal.signal(number, signal.SIG_IGN)


async def stop_at_signals(daemon: Daemon, signals: AsyncIterator[int]) -> None:
    """Every signal asks again, which changes nothing: a stop that is under way is not cut short."""
    async for number in signals:
        log.info("signal", name=signal.Signals(number).name, next="stop")
        daemon.stop()


async def reload_or_stop_at_signals(daemon: Daemon, signals: AsyncIterator[int]) -> None:
    """SIGHUP reads the model again; one that comes meanwhile is told so. Every other signal is a stop."""
    async with trio.open_nursery() as nursery:
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                log.info("signal", name=name, next="reload")
                nursery.start_soon(daemon.reload, name)
            else:
                log.info("signal", name=name, next="stop")
                daemon.stop()


def has_terminal() -> bool:
    """Whether there is one that could go away from us."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
