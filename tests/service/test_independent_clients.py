"""Clients that others wrote, unchanged, against `kalshi-daemon emulator`: the exchange's own generated SDK, and an
independent asyncio SDK with WebSocket. Each in a process and an environment of its own, which is made once from
`clients/requirements.lock` and kept in pytest's cache. Where that cannot be had, the tests say why they are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_S, emulator

CLIENTS = Path(__file__).parent / "clients"
LOCK = CLIENTS / "requirements.lock"
NEEDED = (3, 13)  # by the exchange's SDK
INSTALL_S = 600.0


def interpreter() -> str | None:
    """A Python that is new enough: this one, one on the path, or one of pyenv's."""
    named = [shutil.which(f"python3.{minor}") for minor in range(NEEDED[1], NEEDED[1] + 5)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in [sys.executable, *named, *sorted(map(str, pyenv.glob("3.*/bin/python3")), reverse=True)]:
        if found is None:
            continue
        check = f"import sys, ensurepip; sys.exit(sys.version_info < {NEEDED})"
        if subprocess.run([found, "-c", check], capture_output=True, check=False).returncode == 0:
            return found
    return None


@pytest.fixture(scope="module")
def python(pytestconfig: pytest.Config) -> str:
    """The interpreter of an environment in which both clients are installed."""
    assert pytestconfig.cache is not None
    home = pytestconfig.cache.mkdir("clients") / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    made = home / "bin" / "python"
    if not (home / "complete").exists():
        base = interpreter()
        if base is None:
            pytest.skip(f"no Python {'.'.join(map(str, NEEDED))} or newer is installed, which the exchange's SDK needs")
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        subprocess.run([base, "-m", "venv", "--clear", str(home)], check=True, capture_output=True, env=own)
        install = [str(made), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(LOCK)]
        done = subprocess.run(install, capture_output=True, text=True, check=False, env=own, timeout=INSTALL_S)
        if done.returncode:
            reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
            pytest.skip(f"the clients cannot be installed here: {reason[-1]}")
        (home / "complete").touch()
    return str(made)


def told(python: str, script: str, home: Path) -> dict[str, object]:
    """What a client's script says of a fresh emulator; RSA, since not every client knows Ed25519."""
    with emulator(home, 1, "--key", "rsa") as variables:
        done = subprocess.run(
            [python, str(CLIENTS / script)],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_the_exchanges_own_sdk_trades(python: str, tmp_path: Path) -> None:
    """Place, amend, list, cancel, take, be refused, read fills, positions and balance: each answer is understood."""
    assert told(python, "official_sync.py", tmp_path) == {
        "placed": ["0.00", "3.00"],
        "amended": "2.00",
        "listed": [["official-1", "0.0200", "2.00"]],
        "cancelled": [True, "2.00"],
        "after": "canceled",
        "taken": "1.00",
        "refused": 409,
        "fills": [[True, "1.00"]],
        "positions": ["1.00"],
        "balance_is_less": True,
    }


def test_an_independent_asyncio_sdk_trades_and_streams(python: str, tmp_path: Path) -> None:
    """Place, amend, list, cancel and take over REST; books, its order and its fill over a stream; and when the stream
    is dropped, it connects again by itself and the books come anew.
    """
    assert told(python, "independent_async.py", tmp_path) == {
        "snapshot": True,
        "delta": True,
        "placed": "2.00",
        "amended": "1.00",
        "listed": ["independent-1"],
        "cancelled": "1.00",
        "after": "canceled",
        "taken": "2.00",
        "positions": ["2.00"],
        "streamed_order": "independent-1",
        "streamed_fill": True,
        "dropped": 1,
        "snapshot_again": True,
        "delta_again": True,
    }
