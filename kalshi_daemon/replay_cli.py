"""`kalshi-daemon replay`: what the policy would have done, on recorded books or on the emulator's crowd.

Rules: nothing leaves this process, and no key is read. The policy, its model, the sizes and the risk limits are the
variables that `run` reads; all others are left alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from kalshi_daemon.cli_arguments import cash, number, seed
from kalshi_daemon.errors import ConfigurationError, OperatingError
from kalshi_daemon.limits import BACKTEST_CASH_MAX, SECONDS_MAX
from kalshi_daemon.standard_streams import complain, say
from kalshi_daemon.units import DOLLAR, SECOND_MS, Money

CASH: Final[Money] = 5_000 * DOLLAR
CROWD_S: Final = 600.0  # without a recording; some seconds of waiting
TOLD_S: Final = 3_600.0  # between two words of how far it is
FINDINGS: Final = 1


def add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = commands.add_parser("replay", help="try the policy on recorded books, or on the emulator's crowd")
    replay.add_argument("recording", type=Path, nargs="?", metavar="RECORDING", help="default: the emulator's crowd")
    replay.add_argument("--seconds", type=number(SECONDS_MAX), help="default: all of a recording, 600 of a crowd")
    replay.add_argument("--seed", type=seed, default=1, help="of the crowd and of the network (default: 1)")
    replay.add_argument(
        "--cash", type=cash(BACKTEST_CASH_MAX), default=CASH, metavar="DOLLARS", help="to begin with (default: 5000)"
    )
    replay.add_argument("--json", action="store_true", help="print the report as one JSON object, and nothing else")
    replay.add_argument("--picture", type=Path, metavar="FILE", help="write the curve as SVG too")
    replay.set_defaults(run=_replay)


def _replay(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.demo import read_recording
    from kalshi_daemon.shell.clock import SystemClock
    from kalshi_daemon.shell.logging import configure_logging
    from kalshi_daemon.simulation.backtest import Backtest, run_backtest
    from kalshi_daemon.simulation.picture import draw

    configure_logging("text", "critical", sys.stderr, SystemClock().now_ms, journal=False)
    recording = None if chosen.recording is None else read_recording(chosen.recording)
    whole_s = CROWD_S if recording is None else recording.duration_ms / SECOND_MS
    seconds = whole_s if chosen.seconds is None else chosen.seconds
    if seconds > SECONDS_MAX:
        raise ConfigurationError(f"the recording lasts {seconds:.0f} s; allowed: --seconds up to {SECONDS_MAX:.0f}")
    source = f"crowd of seed {chosen.seed}" if chosen.recording is None else chosen.recording.name
    asked = Backtest(chosen.seed, seconds, chosen.cash, recording, source, dict(os.environ))
    report = run_backtest(asked, _Progress(seconds))
    if chosen.picture is not None:
        _write(chosen.picture, draw(report))
    say(report.as_json() if chosen.json else report.as_text())
    return FINDINGS if report.ended_by or report.violated else 0


class _Progress:
    """A line on standard error for each virtual hour, where a person watches."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next_s: float = TOLD_S

    def __call__(self, passed_s: float) -> None:
        if passed_s >= self._next_s and sys.stderr.isatty():
            self._next_s += TOLD_S
            complain(f"{passed_s / TOLD_S:.0f} h of {self._seconds / TOLD_S:.1f} h lived")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise OperatingError(f"{path} cannot be written: {error.strerror}") from None
