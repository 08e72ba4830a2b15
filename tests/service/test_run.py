"""`run` as a process, on the emulator as a process: systemd, the command line, signals, and what it refuses."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import stat
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import trio
from processes import Running, emulator, hears, run, running, until
from prometheus_client.parser import text_string_to_metric_families

from kalshi_daemon.config import load
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION, EXIT_FAILED, EXIT_STOPPED
from kalshi_daemon.facts import AccountFact, FillSeen, HoldLifted, OperatorSpoke, RunStarted, StateChanged
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.network import SystemNetwork
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import load_signer

Variables = dict[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def facts_of(daemon: Running) -> list[AccountFact]:
    return [fact for _seq, fact in read_journal(daemon.journal)]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Variables]:
    """An exchange, and variables of a daemon on it that decides and never orders."""
    with emulator(tmp_path_factory.mktemp("exchange")) as variables:
        yield {**variables, "KALSHI_POLICY": "hold"}


@pytest.fixture(scope="module")
def daemon(quiet: Variables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that trades, with metrics; stopped by SIGTERM at the end."""
    variables = {**quiet, "KALSHI_METRICS_ADDRESS": f"127.0.0.1:{free_port()}", "WATCHDOG_USEC": "600000"}
    with running(variables, tmp_path_factory.mktemp("d")) as daemon:
        daemon.until_in("trading.normal")
        yield daemon
        assert daemon.stop() == EXIT_STOPPED
        assert daemon.told[-1].startswith("STATUS=stopped")


def test_systemd_hears_ready_then_the_state_and_that_it_lives(daemon: Running) -> None:
    """READY comes when the journal is open and control listens, with the state; then each state, and WATCHDOG."""
    assert daemon.told[0] in {"READY=1\nSTATUS=starting", "READY=1\nSTATUS=starting.preflight"}
    assert [each for each in daemon.told[1:5] if each != "STATUS=starting.preflight (start)"][:3] == [
        "STATUS=starting.connecting (preflight_passed)",
        "STATUS=calibrating (feeds_ready)",
        "STATUS=trading.normal (calibrated)",
    ]
    beats = daemon.beats
    until(lambda: daemon.beats > beats + 2, "the watchdog's beats")


def test_nobody_else_may_open_what_it_makes(daemon: Running) -> None:
    """The socket is for the user and the group, its directory too; the state for the user alone, the group may pass."""
    assert (mode(daemon.socket), mode(daemon.socket.parent), mode(daemon.state)) == (0o660, 0o750, 0o710)
    files = {path.name: mode(path) for path in daemon.state.iterdir()}
    assert sorted(files) == [f"journal.sqlite3{end}" for end in ("", "-shm", "-wal", ".lock")]
    assert set(files.values()) == {0o600}


def test_metrics_can_be_read_by_prometheus(daemon: Running) -> None:
    """Prometheus' own parser takes every line; the state, the feeds and the counters are those of the status."""
    address = daemon.variables["KALSHI_METRICS_ADDRESS"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    trading = [
        key for key, value in samples.items() if key[0] == "kalshid_state" and ("chart", "trader") in key and value
    ]
    assert [dict(key[1:])["state"] for key in trading] == ["trading.normal"]
    assert samples["kalshid_feeds_usable",] == 1
    assert samples["kalshid_account_agreed",] == 1
    assert samples["kalshid_book_deltas_total",] > 0
    assert samples["kalshid_policy_decisions_total",] > 0
    assert samples["kalshid_invariants_violated_total",] == 0
    with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as answer:
        assert b"ok" in answer.read()


def test_a_person_is_told_and_obeyed(daemon: Running) -> None:
    """status, why, history, pause and resume on the command line: each ends with 0, and the words are journaled."""
    status = daemon.status()
    assert status["charts"][0]["path"] == "trading.normal"  # type: ignore[index]
    assert "trading.normal" in daemon.ask("status")[1]
    assert "nothing stands in its way" in daemon.ask("why")[1]
    assert daemon.ask("pause", "lunch") == (0, "held by the operator; `resume` lifts it\n")
    daemon.until_in("paused.holding")
    code, text = daemon.ask("why")
    assert (code, "lunch" in text, "the hold operator is lifted: `resume`" in text) == (0, True, True)
    assert daemon.ask("resume") == (0, "no hold is left\n")
    until(lambda: daemon.told[-1] != "" and daemon.told.count("STATUS=trading.normal (holds_lifted)"), "trading again")
    code, text = daemon.ask("history")
    trader = [line.split()[-2:] for line in text.splitlines() if " trader " in line]
    assert code == 0
    assert trader[-3:] == [
        ["paused.sweeping", "hold_placed"],
        ["paused.holding", "swept"],
        ["trading.normal", "holds_lifted"],
    ]
    spoken = [(fact.command, fact.why) for fact in facts_of(daemon) if isinstance(fact, OperatorSpoke)]
    assert spoken == [("pause", "lunch"), ("resume", "")]
    assert any(isinstance(fact, HoldLifted) and str(os.getuid()) in fact.by for fact in facts_of(daemon))


def test_a_second_daemon_on_the_same_directory_is_refused(daemon: Running, tmp_path: Path) -> None:
    """77, naming the process that holds it; the first goes on, and keeps its socket."""
    variables = {name: value for name, value in daemon.variables.items() if name != "NOTIFY_SOCKET"}
    done = run("run", variables=variables)
    assert (done.stdout, done.returncode) == ("", EXIT_FAILED)
    assert f"is in use by process {daemon.process.pid}: stop that daemon first" in done.stderr
    assert "another daemon answers" not in done.stderr  # nor is its port or its socket asked for before the lock
    assert "metrics" not in done.stderr
    assert daemon.ask("why")[0] == 0


def test_a_second_daemon_beside_the_socket_of_the_first_is_refused(daemon: Running, tmp_path: Path) -> None:
    """With a state directory of its own it would be locked out by nothing else: 77, and the first goes on."""
    variables = {name: value for name, value in daemon.variables.items() if name != "NOTIFY_SOCKET"}
    done = run("run", variables={**variables, "KALSHI_STATE_DIR": str(tmp_path / "other")})
    assert done.returncode == EXIT_FAILED
    assert f"another daemon answers at {daemon.socket}: stop it first" in done.stderr
    assert daemon.ask("why")[0] == 0


@pytest.mark.parametrize("change", ["lock removed", "journal replaced", "directory replaced"])
def test_whose_state_files_are_changed_ends_with_nothing_at_rest(quiet: Variables, tmp_path: Path, change: str) -> None:
    """An alarm that names the file, our orders cancelled and verified, 77; what stands there now is left alone."""
    trading = {**quiet, "KALSHI_POLICY": "rules", "KALSHI_PRICING": "join"}
    with running(trading, tmp_path) as daemon:
        daemon.until_in("trading.normal")
        lock = daemon.state / "journal.sqlite3.lock"
        if change == "lock removed":
            named = lock
            lock.unlink()
        elif change == "journal replaced":
            named = daemon.journal
            (daemon.state / "new").write_bytes(b"somebody's")
            (daemon.state / "new").rename(daemon.journal)
        else:
            named = daemon.journal
            daemon.state.rename(tmp_path / "moved")
            daemon.state.mkdir(mode=0o710)
            (daemon.state / "journal.sqlite3-wal").write_bytes(b"another's")
        assert daemon.ended() == EXIT_FAILED, daemon.log()
        assert "name=state_files_lost" in daemon.log()
        assert f"{named} is " in daemon.log()
        assert "stop_unverified" not in daemon.log()
        if change == "directory replaced":
            assert (daemon.state / "journal.sqlite3-wal").read_bytes() == b"another's"


def test_a_control_socket_that_is_removed_is_made_again(quiet: Variables, tmp_path: Path) -> None:
    """Nobody would find the daemon any more; within seconds it answers again."""
    with running(quiet, tmp_path) as daemon:
        daemon.until_in("trading.normal")
        daemon.socket.unlink()
        until(daemon.socket.exists, "the control socket")
        until(lambda: daemon.ask("why")[0] == 0, "an answer")
        assert daemon.stop() == EXIT_STOPPED


def test_the_stop_command_ends_it(quiet: Variables, tmp_path: Path) -> None:
    """`stop` is answered, the process ends with 0, its socket is gone, and nobody answers any more."""
    with running(quiet, tmp_path) as daemon:
        until(daemon.is_ready, "READY")
        assert daemon.ask("stop", "enough") == (0, "stopping: our orders are being cancelled and verified\n")
        assert daemon.ended() == EXIT_STOPPED
        assert not daemon.socket.exists()
        assert daemon.ask("status")[0] == EXIT_ABSENT
        assert any("STOPPING=1" in each for each in daemon.told)
        facts = facts_of(daemon)
    assert [fact.why for fact in facts if isinstance(fact, OperatorSpoke)] == ["enough"]
    states = [fact.entered for fact in facts if isinstance(fact, StateChanged) and fact.chart == "trader"]
    assert states[-1] == "stopped"


def test_without_a_network_it_goes_on_trying_and_says_so(quiet: Variables, tmp_path: Path) -> None:
    """Nothing listens: it is READY, `why` names what it could not reach, attempts go on; SIGTERM ends it with 0."""
    nowhere = f"127.0.0.1:{free_port()}"
    variables = {
        **quiet,
        "KALSHI_REST_URLS": f"http://{nowhere}/trade-api/v2",
        "KALSHI_WS_URLS": f"ws://{nowhere}/trade-api/ws/v2",
    }
    with running(variables, tmp_path) as daemon:
        until(lambda: daemon.log().count("check=exchange") >= 2, "a second attempt")
        code, text = daemon.ask("why")
        assert code == 0
        assert "the check exchange passes; attempt" in text
        assert f"{nowhere} refused the connection" in text
        assert daemon.is_ready()
        assert daemon.stop() == EXIT_STOPPED


REFUSED = {
    "key": (
        {"KALSHI_API_KEY_ID": "somebody-else"},
        EXIT_FAILED,
        "the exchange refuses the key: KALSHI_API_KEY_ID is not known here: a key belongs to one environment",
    ),
    "market": ({"KALSHI_MARKETS": "NOPE"}, EXIT_CONFIGURATION, "KALSHI_MARKETS names NOPE"),
    "model": (
        {"KALSHI_POLICY": "onnx", "KALSHI_ORDER_SIZES": "1,2"},
        EXIT_FAILED,
        "the model does not fit: metadata sizes is '5', wanted '1,2'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_person_must_mend_ends_it(name: str, quiet: Variables, tmp_path: Path) -> None:
    """Its own exit code, the cause in the log, in systemd's status and in the journal."""
    changed, code, cause = REFUSED[name]
    with running({**quiet, **changed}, tmp_path) as daemon:
        assert daemon.ended() == code
        assert cause in daemon.log()
        assert daemon.told[-1].startswith(f"STATUS=failed: {cause}")
        assert [fact.text.startswith(cause) for fact in facts_of(daemon) if type(fact).__name__ == "Alarmed"] == [True]


def test_a_key_that_others_can_read_is_refused(quiet: Variables, tmp_path: Path) -> None:
    """77, with the command that mends it."""
    key = tmp_path / "key.pem"
    key.write_bytes(Path(quiet["KALSHI_PRIVATE_KEY_FILE"]).read_bytes())
    key.chmod(0o644)
    with running({**quiet, "KALSHI_PRIVATE_KEY_FILE": str(key)}, tmp_path / "d") as daemon:
        assert daemon.ended() == EXIT_FAILED
        assert f"chmod 600 {key}" in daemon.log()


def test_a_variable_that_is_not_allowed_is_one_line(tmp_path: Path, quiet: Variables) -> None:
    """78 and one line with the variable, its value and what is allowed; nothing is made."""
    done = run("run", variables={**quiet, "KALSHI_SOCKETS": "9", "KALSHI_STATE_DIR": str(tmp_path / "state")})
    assert (done.stdout, done.returncode) == ("", EXIT_CONFIGURATION)
    assert done.stderr.startswith("kalshi-daemon: KALSHI_SOCKETS is '9'; allowed: 1, 2 ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "state").exists()


def test_a_damaged_journal_is_refused_and_left_alone(quiet: Variables, tmp_path: Path) -> None:
    """77, naming the event; not a byte of the file is changed."""
    path = tmp_path / "state" / "journal.sqlite3"
    journal = Journal.open(path, in_place)
    journal.write([RunStarted(1, f"run{number}", "0.1.0") for number in range(3)])
    journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET at_ms = 7 WHERE seq = 2")
    connection.close()
    before = path.read_bytes()
    with running(quiet, tmp_path) as daemon:
        assert daemon.ended() == EXIT_FAILED
        assert "event 2 (RunStarted) of the journal" in daemon.log()
    assert path.read_bytes() == before


def of_the_exchange(variables: Variables) -> tuple[dict[str, tuple[int, int]], int, int]:
    """Positions, cash and the number of fills, as the exchange tells them."""
    config = load({**variables, "KALSHI_STATE_DIR": "/nowhere"})

    async def read() -> tuple[dict[str, tuple[int, int]], int, int]:
        signer = load_signer(config.api_key_id, config.private_key_file)
        async with RestClient(
            config.rest_urls, signer, SystemNetwork(), SystemClock(), lanes=1, rng=random.Random(1)
        ) as client:
            positions = {each.market: (each.count, each.fees) for each in await client.positions() if each.count}
            cash = (await client.balance()).total
            return positions, cash, len(await client.fills(0))

    return trio.run(read)


def stop_and_start(seed: int, folder: Path) -> None:
    """One exchange, one journal, three daemons after each other, each stopped at a random moment."""
    draw = random.Random(seed)
    with emulator(folder / "exchange", seed) as variables:
        trading = {**variables, "KALSHI_PRICING": draw.choice(["take", "join"]), "KALSHI_POLICY": "rules"}
        for _ in range(3):
            with running(trading, folder / "daemon") as daemon:
                until(partial(hears, daemon.process, signal.SIGTERM), "a handler for SIGTERM")
                time.sleep(draw.choice([draw.uniform(0.0, 0.3), draw.uniform(0.3, 3.0)]))
                assert daemon.stop() == EXIT_STOPPED, daemon.log()
        ledger, facts = Ledger(), facts_of(daemon)
        for fact in facts:
            ledger.apply(fact)
        positions, cash, fills = of_the_exchange(variables)
    assert sum(isinstance(fact, RunStarted) for fact in facts) == 3
    assert {each.market: (each.count, each.fees) for each in ledger.positions.values() if each.count} == positions
    assert ledger.live() == []
    assert ledger.settled_total == (cash if ledger.opened else 0)
    assert len({fact.trade_id for fact in facts if isinstance(fact, FillSeen)}) == ledger.fills_booked == fills


def test_stopped_at_random_moments_it_continues_its_journal(tmp_path: Path) -> None:
    """Trading, SIGTERM, started again on the same journal: every end is 0, and in the end the journal's account is the
    exchange's: the same positions and cash, each fill once, and nothing rests.
    """
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(stop_and_start, seed, tmp_path / str(seed)) for seed in range(4)]
        for each in runs:
            each.result()


def test_an_early_signal_finds_nothing_open(quiet: Variables, tmp_path: Path) -> None:
    """Before it hears signals it has made nothing: SIGTERM ends the process as it ends any other."""
    with running(quiet, tmp_path) as daemon:
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.ended() == -signal.SIGTERM
        assert not daemon.state.exists()
