"""The command line: what runs (`run`, `demo`, `emulator`, `replay`), what looks (`doctor`, `journal`, `statement`,
`charts`, `version`), and what a daemon is told.

Rules: what the world did wrong is one line on standard error and the exit code of its error; a traceback is a mistake
of ours. Results go to standard output and nothing else does. Heavy parts are imported by the command that needs them,
after the variables that their libraries read at import.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kalshi_daemon import __version__
from kalshi_daemon.charts.crashes import leaves_of_group
from kalshi_daemon.cli_arguments import number, port, seed
from kalshi_daemon.client_cli import add_client
from kalshi_daemon.errors import ConfigurationError, OperatingError
from kalshi_daemon.journal_cli import add_journal
from kalshi_daemon.limits import SECONDS_MAX, SPEED_MAX
from kalshi_daemon.model_cli import add_model
from kalshi_daemon.recording_cli import add_recording
from kalshi_daemon.replay_cli import add_replay
from kalshi_daemon.standard_streams import complain, open_streams, say
from kalshi_daemon.statement_cli import add_statement

if TYPE_CHECKING:
    from kalshi_daemon.emulator.faults import PlannedFault
    from kalshi_daemon.emulator.setting_text import Setting

# Read by libraries at import: onnxruntime carries a telemetry uploader, and OpenBLAS threads cost small batches 40 ms.
LIBRARY_VARIABLES: Final = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"}
INTERRUPTED: Final = 130
FINDINGS: Final = 1  # of `charts lint`, and of a demo that fell short

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. `arguments` without the program's name; the process's own where absent."""
    for name, value in LIBRARY_VARIABLES.items():
        os.environ.setdefault(name, value)
    open_streams()
    chosen = _parser().parse_args(arguments)
    command: Command = chosen.run
    try:
        return command(chosen)
    except (OperatingError, KeyboardInterrupt, BaseExceptionGroup) as error:
        return _ended_by(error)


def _ended_by(error: BaseException) -> int:
    """What the world did, or a person, maybe in the group of a nursery. Raises whatever is a mistake of ours."""
    causes = list(leaves_of_group(error))
    if all(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return INTERRUPTED
    known = [cause for cause in causes if isinstance(cause, OperatingError)]
    if len(known) < len(causes):
        raise error
    for cause in known:
        complain(str(cause))
    return known[0].exit_code


class _Parser(argparse.ArgumentParser):
    """One that takes options by their whole names only, and so do the parsers of its commands: what is abbreviated
    today may mean another option tomorrow.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "allow_abbrev": False})


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="kalshi-daemon", description="Trades one Kalshi account with an ONNX policy."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="trade the account that the environment names (.env.example)")
    run.add_argument("--dry-run", action="store_true", help="the real markets, and an account on a local exchange")
    run.set_defaults(run=_run)
    _add_demo(commands.add_parser("demo", help="trade against a local exchange, and sum up"))
    _add_emulator(commands.add_parser("emulator", help="run the local exchange alone, on loopback"))
    _add_charts(commands.add_parser("charts", help="list, check or export the statecharts"))
    _add_doctor(commands.add_parser("doctor", help="try the machine, the key and every host; nothing is written"))
    add_client(commands)
    add_journal(commands)
    add_statement(commands)
    add_replay(commands)
    add_model(commands)
    add_recording(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=lambda _chosen: say(__version__))
    return parser


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--seconds", type=number(SECONDS_MAX), help="stop after so many seconds (default: until Ctrl-C)")
    demo.add_argument("--seed", type=seed, default=1, help="of the markets and of the crowd (default: 1)")
    demo.add_argument("--json", action="store_true", help="print the summary as one JSON object, and nothing else")
    demo.add_argument("--recording", type=Path, metavar="FILE", help="play recorded frames as the market data")
    demo.add_argument("--speed", type=number(SPEED_MAX), help="of the recording (default: 1)")
    demo.add_argument("--policy", choices=["onnx", "rules", "hold"], default="onnx", help="default: onnx")
    _add_faults(demo)
    demo.add_argument("--weekly-pause", action="store_true", help="keep the exchange's pause of Thursday morning")
    demo.set_defaults(run=_demo)


def _add_emulator(emulator: argparse.ArgumentParser) -> None:
    emulator.add_argument("--port", type=port, default=8090, help="default: 8090; 0: a free one")
    emulator.add_argument("--seed", type=seed, default=1, help="of the markets and of the crowd (default: 1)")
    emulator.add_argument("--key", choices=["ed25519", "rsa"], default="ed25519", help="default: ed25519")
    emulator.add_argument("--tls", action="store_true", help="serve https and wss; SSL_CERT_FILE is printed too")
    _add_faults(emulator)
    emulator.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="as in read_lag_ms=360"
    )
    emulator.add_argument("--no-weekly-pause", action="store_true", help="trade through Thursday morning too")
    emulator.set_defaults(run=_emulator)


def _add_faults(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="FAULT",
        help="what the exchange does wrong, and when, as in upgrade:503@0-60; may be repeated (docs/emulator.md)",
    )


def _add_doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument(
        "--environment",
        choices=["demo", "production"],
        help="whose hosts to try (default: KALSHI_ENVIRONMENT)",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    doctor.set_defaults(run=_doctor)


def _add_charts(charts: argparse.ArgumentParser) -> None:
    actions = charts.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="name each chart and table").set_defaults(run=_list_charts)
    actions.add_parser("lint", help="check all; exit code 1 when something is found").set_defaults(run=_lint_charts)
    export = actions.add_parser("export", help="write their pages, with diagrams")
    export.add_argument("--folder", type=Path, default=Path("docs/statecharts"), help="default: docs/statecharts")
    export.set_defaults(run=_export_charts)


def _fault(text: str) -> PlannedFault:
    """One that acts on real sockets."""
    from kalshi_daemon.emulator.fault_figures import FaultRefused
    from kalshi_daemon.emulator.fault_text import parse_fault
    from kalshi_daemon.emulator.faults import NETWORK

    try:
        planned = parse_fault(text)
    except FaultRefused as refused:
        raise argparse.ArgumentTypeError(str(refused)) from None
    if planned.fault.kind.place == NETWORK:
        raise argparse.ArgumentTypeError(
            f"{text} acts in the simulation's network only; on real sockets use a host under .invalid"
        )
    return planned


def _setting(text: str) -> Setting:
    from kalshi_daemon.emulator.setting_text import SettingRefused, parse_setting

    try:
        return parse_setting(text)
    except SettingRefused as refused:
        raise argparse.ArgumentTypeError(str(refused)) from None


def _faults(chosen: argparse.Namespace, *, tls: bool) -> tuple[PlannedFault, ...]:
    """Raises ConfigurationError for those that nothing here would meet."""
    from kalshi_daemon.emulator.faults import HANDSHAKE

    if not tls and any(planned.fault.kind.place == HANDSHAKE for planned in chosen.fault):
        raise ConfigurationError("--fault is tls, which plain HTTP does not meet; allowed: with emulator --tls")
    return tuple(chosen.fault)


@contextmanager
def _signals_held() -> Iterator[None]:
    """For imports: libraries written in C turn a Ctrl-C inside them into errors of their own."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _run(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.config import load
    from kalshi_daemon.config_checks import CONFIRMATION

    confirmed = {"KALSHI_PRODUCTION_CONFIRMATION": CONFIRMATION} if chosen.dry_run else {}  # it risks no money
    config = load({**os.environ, **confirmed})
    with _signals_held():
        from kalshi_daemon.shell.clock import SystemClock
        from kalshi_daemon.shell.logging import configure_logging, is_journal

        if chosen.dry_run:
            from kalshi_daemon.dry_run import run_dry as live
        else:
            from kalshi_daemon.run import run_daemon as live

    journal = is_journal(sys.stderr, os.environ)
    configure_logging(config.log_format, config.log_level, sys.stderr, SystemClock().now_ms, journal=journal)
    return live(config)


def _demo(chosen: argparse.Namespace) -> int:
    if chosen.speed is not None and chosen.recording is None:
        raise ConfigurationError("--speed is for a recording; allowed: with --recording FILE")
    with _signals_held():
        from kalshi_daemon.demo import run_demo

    summary = run_demo(
        seconds=chosen.seconds,
        seed=chosen.seed,
        shown=not chosen.json,
        recording=chosen.recording,
        speed=1.0 if chosen.speed is None else chosen.speed,
        policy=chosen.policy,
        faults=_faults(chosen, tls=False),
        weekly_pause=chosen.weekly_pause,
    )
    say(summary.as_json() if chosen.json else summary.as_text())
    short = summary.shortfall(recorded=chosen.recording is not None)
    if short:
        complain(f"the demo fell short: {short}")
    return FINDINGS if short else 0


def _emulator(chosen: argparse.Namespace) -> int:
    with _signals_held():
        from kalshi_daemon.local_exchange import serve_emulator

    serve_emulator(
        port=chosen.port,
        seed=chosen.seed,
        key_kind=chosen.key,
        weekly_pause=not chosen.no_weekly_pause,
        faults=_faults(chosen, tls=chosen.tls),
        chosen=chosen.set,
        tls=chosen.tls,
        say=say,
    )
    return 0


def _doctor(chosen: argparse.Namespace) -> int:
    with _signals_held():
        from kalshi_daemon.examine import run_doctor

    report = run_doctor(chosen.environment)
    say(report.as_json() if chosen.json else report.as_text())
    return report.exit_code


def _list_charts(_chosen: argparse.Namespace) -> int:
    from kalshi_daemon.charts.catalogue import TABLES
    from kalshi_daemon.core.chart_states import CHARTS

    lines = [f"{name:<16} chart  {chart['true']}" for name, chart in CHARTS.items()]
    lines += [f"{name:<16} table  {table['about']}" for name, table in TABLES.items()]
    return say("\n".join(lines))


def _lint_charts(_chosen: argparse.Namespace) -> int:
    from kalshi_daemon.charts.catalogue import lint_all

    findings = lint_all()
    say("\n".join(findings) or "nothing found")
    return FINDINGS if findings else 0


def _export_charts(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.charts.catalogue import export

    try:
        export(chosen.folder)
    except OSError as error:
        raise OperatingError(f"{chosen.folder} cannot be written: {error.strerror}") from None
    return say(f"written to {chosen.folder}")
