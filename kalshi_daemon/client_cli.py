"""The commands to a running daemon, through its control socket: it is asked (`status`, `why`), or told (`pause`).

Rules: one question, one answer. What a daemon of another version answers is still to be had with `--json`. The heavy
parts are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from kalshi_daemon.errors import OperatingError
from kalshi_daemon.standard_streams import say


def add_client(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    socket = argparse.ArgumentParser(add_help=False)
    socket.add_argument("--socket", type=Path, help="the daemon's control socket (default: KALSHI_CONTROL_SOCKET)")
    status = commands.add_parser("status", parents=[socket], help="show what a running daemon is doing")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(run=_status)
    markets = commands.add_parser("markets", parents=[socket], help="each market, in or out, and the reason")
    markets.add_argument("--json", action="store_true", help="as one JSON array")
    markets.set_defaults(run=_markets)
    for name, meaning in (
        ("why", "say why it is not trading, and what would have to happen"),
        ("history", "the states it was in: since when, how long, through what"),
    ):
        commands.add_parser(name, parents=[socket], help=meaning).set_defaults(run=_ask, command=name)
    for name, meaning in (
        ("pause", "no order may increase exposure until `resume`; feeds stay"),
        ("resume", "lift the holds that a person may lift"),
        ("adopt", "take orders and positions that are not ours as the account's own"),
        ("ignore", "let orders and positions that are not ours be until the next start, and trade beside them"),
        ("accept-divergence", "take the exchange's figures for those that are held as different; needs a reason"),
        ("kill-clear", "lift the hold kill and remove its latch; needs a reason"),
        ("group-reset", "let order groups that were triggered take orders again; needs a reason"),
        ("reload", "read the model's file again and decide with it, without leaving trading"),
        ("stop", "cancel our own orders, verify, and end"),
    ):
        spoken = commands.add_parser(name, parents=[socket], help=meaning)
        if name in {"kill-clear", "accept-divergence", "group-reset"}:
            spoken.add_argument("why", nargs="+", metavar="REASON", help="kept in the journal")
        else:
            spoken.add_argument("why", nargs="*", metavar="WHY", help="kept in the journal")
        spoken.set_defaults(run=_ask, command=name)
        if name == "pause":
            spoken.add_argument("--cancel", action="store_true", help="cancel resting orders too")


def _status(chosen: argparse.Namespace) -> int:
    import msgspec

    from kalshi_daemon.shell.control_client import ask

    result = ask(_socket(chosen, os.environ), "status")
    if chosen.json:
        return say(msgspec.json.encode(result).decode())
    from rich.console import Console

    from kalshi_daemon.shell.live_view import render
    from kalshi_daemon.shell.status import Status

    try:
        status = msgspec.convert(result, Status)
    except msgspec.ValidationError as error:
        raise OperatingError(f"that daemon is of another version ({error}): use `status --json`") from None
    console = Console()
    with console.capture() as drawn:
        console.print(render(status))
    return say(drawn.get())


def _markets(chosen: argparse.Namespace) -> int:
    import msgspec

    from kalshi_daemon.shell.clock import SystemClock
    from kalshi_daemon.shell.control_client import ask
    from kalshi_daemon.shell.status import MarketStatus, Status
    from kalshi_daemon.shell.status_text import markets_text, unread_lines

    socket = _socket(chosen, os.environ)
    result = ask(socket, "markets")
    if chosen.json:
        return say(msgspec.json.encode(result).decode())
    try:
        rows = msgspec.convert(result, list[MarketStatus])
        status = msgspec.convert(ask(socket, "status"), Status | None)
    except msgspec.ValidationError as error:
        raise OperatingError(f"that daemon is of another version ({error}): use `markets --json`") from None
    unread = unread_lines(status) if status is not None else []
    return say("\n".join([markets_text(rows, SystemClock().now_ms()), *unread]))


def _ask(chosen: argparse.Namespace) -> int:
    """A command whose answer is a text."""
    from kalshi_daemon.shell.control_client import ask

    why = " ".join(getattr(chosen, "why", []))
    given = {"why": why, "cancel": getattr(chosen, "cancel", False)}
    fields: dict[str, str | bool] = {name: value for name, value in given.items() if value}
    return say(str(ask(_socket(chosen, os.environ), chosen.command, **fields)))


def _socket(chosen: argparse.Namespace, variables: Mapping[str, str]) -> Path:
    from kalshi_daemon.config_defaults import control_sockets
    from kalshi_daemon.shell.control_client import find_socket

    given: Path | None = chosen.socket
    return given if given is not None else find_socket(control_sockets(variables))
