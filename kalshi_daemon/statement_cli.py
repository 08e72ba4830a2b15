"""`kalshi-daemon statement`: the account statement of a US Eastern day, journal against exchange.

Rules: it only reads, so that production needs no confirmation. What keeps the exchange's half from being read, the
configuration included, is said below the journal's.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from kalshi_daemon.journal_cli import journal_path
from kalshi_daemon.standard_streams import say

if TYPE_CHECKING:
    from kalshi_daemon.core.statement import AccountLists
    from kalshi_daemon.units import Count, Milliseconds, Ticker


def add_statement(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    statement = commands.add_parser(
        "statement", help="one day of the account: the journal against the exchange's lists"
    )
    statement.add_argument("--day", type=_day, metavar="YYYY-MM-DD", help="US Eastern; default: today, so far")
    statement.add_argument("--journal", type=Path, metavar="FILE", help="default: journal.sqlite3 in KALSHI_STATE_DIR")
    statement.add_argument("--json", action="store_true", help="as one JSON object, with every fill and settlement")
    statement.set_defaults(run=_statement)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a day as 2026-11-22") from None


def _statement(chosen: argparse.Namespace) -> int:
    from functools import partial

    import msgspec
    import trio

    from kalshi_daemon.shell.clock import SystemClock, eastern_day
    from kalshi_daemon.shell.statement_service import make_statement

    clock = SystemClock()
    day = chosen.day or date.fromisoformat(eastern_day(clock.now_ms()))
    read = partial(_read, os.environ)
    statement = trio.run(make_statement, day, journal_path(chosen), read, clock.now_ms)
    say(msgspec.json.encode(statement.as_dict()).decode() if chosen.json else statement.as_text())
    return statement.exit_code


async def _read(variables: Mapping[str, str], since_ms: Milliseconds, settled: Mapping[Ticker, Count]) -> AccountLists:
    """The exchange's lists, of the account that the variables name. Raises OperatingError."""
    from kalshi_daemon import limits
    from kalshi_daemon.config import load
    from kalshi_daemon.config_checks import CONFIRMATION
    from kalshi_daemon.shell.clock import SystemClock
    from kalshi_daemon.shell.network import SystemNetwork
    from kalshi_daemon.shell.rest_client import RestClient
    from kalshi_daemon.shell.signer import load_signer
    from kalshi_daemon.shell.statement_service import read_lists

    production = variables.get("KALSHI_ENVIRONMENT") == "production"
    config = load({**variables, **({"KALSHI_PRODUCTION_CONFIRMATION": CONFIRMATION} if production else {})})
    signer = load_signer(config.api_key_id, config.private_key_file)
    rng = random.Random(0)  # noqa: S311 - of back-offs
    async with RestClient(
        config.rest_urls, signer, SystemNetwork(), SystemClock(), lanes=limits.REST_LANES, rng=rng
    ) as rest:
        return await read_lists(rest, since_ms, settled)
