"""`run --dry-run` as a process: the markets of one exchange, the account on another, no order where the markets are."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from processes import emulator, run, running, until

from kalshi_daemon.config import load
from kalshi_daemon.dry_run import ReadingSigner
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_STOPPED
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.network import SystemNetwork
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import load_signer


async def orders_at(variables: Mapping[str, str]) -> int:
    """How many orders the account has ever had where the markets are."""
    config = load({name: text for name, text in variables.items() if name.startswith("KALSHI_")})
    signer = load_signer(config.api_key_id, config.private_key_file)
    clock, rng = SystemClock(), random.Random(1)
    async with RestClient(config.rest_urls, signer, SystemNetwork(), clock, lanes=1, rng=rng) as rest:
        return len(await rest.orders())


def test_it_trades_the_real_markets_and_sends_them_no_order(tmp_path: Path) -> None:
    """Through the real streams to trading, fills on the local account, all audits agreed, stopped clean; the exchange
    of the markets never saw an order, and the state directory no journal.
    """
    with emulator(tmp_path / "exchange") as variables, running(variables, tmp_path / "dry", "--dry-run") as daemon:
        daemon.until_in("trading.normal")
        until(lambda: daemon.status()["last_fills"] != [], "a fill")
        status = daemon.status()
        assert status["environment"] == "demo, dry run"
        assert status["account_agreed"] is True
        assert daemon.stop() == EXIT_STOPPED
        assert "orders=local" in daemon.log()
        assert not daemon.journal.exists()
        assert trio.run(orders_at, daemon.variables) == 0


def test_one_socket_cannot_carry_two_exchanges(tmp_path: Path) -> None:
    """A configuration error of one line."""
    with emulator(tmp_path) as variables:
        ended = run(
            "run",
            "--dry-run",
            variables={**variables, "KALSHI_SOCKETS": "1", "KALSHI_CONTROL_SOCKET": "/run/unused.sock"},
        )
        assert ended.returncode == EXIT_CONFIGURATION
        assert ended.stderr == "kalshi-daemon: KALSHI_SOCKETS is 1; with --dry-run allowed: 2 or 3\n"


def test_the_real_key_signs_no_write(tmp_path: Path) -> None:
    """Whatever else is wrong, an order cannot be signed."""
    with emulator(tmp_path) as variables:
        signer = ReadingSigner(load_signer(variables["KALSHI_API_KEY_ID"], variables["KALSHI_PRIVATE_KEY_FILE"]))
    assert signer.headers("GET", "/trade-api/v2/exchange/status", 1)
    for method in ("POST", "DELETE", "PUT"):
        with pytest.raises(AssertionError, match="signs no"):
            signer.headers(method, "/trade-api/v2/portfolio/events/orders", 1)
