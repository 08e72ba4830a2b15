"""`kalshi-daemon run`: one daemon on the real clock, the real network and the real disk."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Final

import trio

from kalshi_daemon.config import Config
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.errors import EXIT_CRASHED
from kalshi_daemon.seams import Seams, View
from kalshi_daemon.shell.clock import SystemClock
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
        abort=lambda: os._exit(EXIT_CRASHED),  # trio cannot abandon a task; systemd starts a process again
    )


def run_daemon(config: Config) -> int:
    """Trade the account of this configuration until stopped. The exit code."""
    return trio.run(Daemon(config, system_seams(config, None)).run)
