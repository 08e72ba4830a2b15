"""`kalshi-daemon replay`: what the policy would have done, on recorded books or on the emulator's crowd; and, given a
journal, whether what `run` recorded is decided again as it was.

Rules: nothing leaves this process, and no key is read. The policy, its model, the sizes and the risk limits are the
variables that `run` reads, and of what `run` recorded its own, but for the model's file; all others are left alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kalshi_daemon.cli_arguments import cash, number, seed
from kalshi_daemon.errors import ConfigurationError, OperatingError
from kalshi_daemon.limits import BACKTEST_CASH_MAX, SECONDS_MAX
from kalshi_daemon.standard_streams import complain, say, say_lines
from kalshi_daemon.units import DOLLAR, SECOND_MS, Money

if TYPE_CHECKING:
    from kalshi_daemon.emulator.recording import Recording
    from kalshi_daemon.policy.action_selector import Selector
    from kalshi_daemon.wire.records import PolicyNamed

CASH: Final[Money] = 5_000 * DOLLAR
CROWD_S: Final = 600.0  # without a recording; some seconds of waiting
TOLD_S: Final = 3_600.0  # between two words of how far it is
FINDINGS: Final = 1
UNDECIDED: Final = 2  # nothing of it could be judged


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
    replay.add_argument(
        "--journal", type=Path, metavar="FILE", help="decide again what `run` recorded with it, and compare to the byte"
    )
    replay.set_defaults(run=_replay)


def _replay(chosen: argparse.Namespace) -> int:
    if chosen.journal is not None:
        return _decide_again(chosen)
    from kalshi_daemon.shell.clock import SystemClock
    from kalshi_daemon.shell.logging import configure_logging
    from kalshi_daemon.simulation.backtest import Backtest, run_backtest
    from kalshi_daemon.simulation.picture import draw

    configure_logging("text", "critical", sys.stderr, SystemClock().now_ms, journal=False)
    recording = None if chosen.recording is None else _recording(chosen.recording)
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


def _recording(path: Path) -> Recording:
    """Of a directory of segments, or one of them, what a daemon recorded; else the form that the demo plays."""
    from kalshi_daemon.demo import read_recording
    from kalshi_daemon.replay.played import played
    from kalshi_daemon.shell.recording_file import NAME, SegmentReader, segments_of

    if not path.is_dir() and not NAME.fullmatch(path.name):
        return read_recording(path)
    return played(record for each in segments_of(path) for record in SegmentReader(each).records())


def _decide_again(chosen: argparse.Namespace) -> int:
    import msgspec

    from kalshi_daemon.replay.decisions import DIFFERENT, EQUAL, DecisionReplay
    from kalshi_daemon.shell.journal_reader import read_journal
    from kalshi_daemon.shell.journal_text import outline
    from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
    from kalshi_daemon.shell.versions import versions

    given = [name for name in ("seconds", "picture") if getattr(chosen, name) is not None]
    if given:
        raise ConfigurationError(f"--{given[0]} is for a backtest; allowed: without --journal")
    if chosen.recording is None:
        raise ConfigurationError("replay --journal decides again what was recorded: name the recording's directory")
    journal: Path = chosen.journal
    records = (record for path in segments_of(chosen.recording) for record in SegmentReader(path).records())
    compared = DecisionReplay(lambda: read_journal(journal), _at_hand, versions()).compare(records)
    report = compared.as_dict()
    say_lines([msgspec.json.encode(report).decode()] if chosen.json else outline(report))
    return {EQUAL: 0, DIFFERENT: FINDINGS}.get(compared.verdict, UNDECIDED)


def _at_hand(policy: PolicyNamed) -> Selector | None:
    """The selector of that name; of a model the file that KALSHI_MODEL names. None for a script, which a recording does
    not hold. Raises ModelRefused.
    """
    from kalshi_daemon.config import VARIABLES
    from kalshi_daemon.policy.action_selector import choose_selector
    from kalshi_daemon.policy.pricing import Pricing
    from kalshi_daemon.shell.model import load, read

    if policy.policy == "scripted":
        return None
    if policy.policy != "onnx":
        return choose_selector(policy.policy)
    path: Path = VARIABLES["KALSHI_MODEL"].value(os.environ)
    if read(path).sha256 != policy.model:
        return None
    return load(path, policy.sizes, Pricing(policy.pricing), production=False)


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
