"""`statement` and `journal` as processes, beside a daemon process that trades on an emulator process, and after it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import msgspec
from processes import Running, emulator, run, running, until

from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION, EXIT_STOPPED
from kalshi_daemon.shell.clock import SystemClock, eastern_day


def days() -> list[str]:
    """Today, and yesterday: the test may live through a midnight."""
    today = date.fromisoformat(eastern_day(SystemClock().now_ms()))
    return [today.isoformat(), (today - timedelta(days=1)).isoformat()]


def filled(daemon: Running) -> bool:
    done = run("journal", "tail", "-n", "1", "--kind", "FillSeen", variables=daemon.variables)
    return "FillSeen" in done.stdout


def test_what_was_traded_is_stated_and_equal(tmp_path: Path) -> None:
    """Beside the daemon the journal is whole; stopped, both halves of its days are equal; without the exchange there
    is one half; and the key's id, its file and what is in it are in none of it.
    """
    with emulator(tmp_path / "exchange") as exchange, running(exchange, tmp_path / "daemon") as daemon:
        daemon.until_in("trading.normal")
        until(lambda: filled(daemon), "a fill")
        assert "verdict          whole" in run("journal", "verify", variables=daemon.variables).stdout
        assert daemon.stop() == EXIT_STOPPED
        stated = [run("statement", "--json", "--day", day, variables=daemon.variables) for day in days()]
        told = [msgspec.json.decode(each.stdout) for each in stated if each.stdout]
        assert {each["verdict"] for each in told} == {"equal"}, told
        assert {each.returncode for each in stated if each.stdout} == {EXIT_STOPPED}
        assert sum(len(each["journal"]["fills"]) for each in told) > 0
        text = run("statement", variables=daemon.variables)
        assert text.stdout.endswith("journal and exchange are equal, to the cent\n")
        away = run("statement", variables={**daemon.variables, "KALSHI_REST_URLS": "http://127.0.0.1:9/trade-api/v2"})
        assert (away.returncode, "could not be read" in away.stdout) == (EXIT_ABSENT, True)
        unset = {name: value for name, value in daemon.variables.items() if name != "KALSHI_API_KEY_ID"}
        assert run("statement", variables=unset).returncode == EXIT_CONFIGURATION
        shown = run("journal", "export", variables=daemon.variables).stdout + text.stdout + stated[0].stdout
        secrets = Path(exchange["KALSHI_PRIVATE_KEY_FILE"]).read_text().splitlines()[1:-1]
        for secret in (exchange["KALSHI_API_KEY_ID"], *secrets):
            assert secret not in shown
