"""`demo` and `emulator` as processes: the summary, the exit codes, signals, recordings, and what is left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
from attrs import evolve
from processes import PATIENCE_S, ROOT, clean_environment, command, emulator, hears, run, until

from kalshi_daemon.cli import INTERRUPTED
from kalshi_daemon.demo import read_recording
from kalshi_daemon.demo_summary import Asked, Profit, StateEntered, Summary
from kalshi_daemon.emulator.recording import RecordedLevel
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_FAILED

RECORDED = ROOT.parent / "shared/kalshi/recordings/prod-2026-08/ws_orderbook_stream.json"
TO_TRADING = ["starting.preflight", "starting.connecting", "calibrating", "trading.normal"]
TO_THE_END = ["stopping.draining", "stopping.sealing", "stopped"]
MARKET = "REC-DAY-A"
FAULTY = (
    *("--fault", "upgrade:503@0-1", "--fault", "error:503:GET%5", "--fault", "gap%1", "--fault", "reset%0.3"),
    *("--fault", "lost:POST/orders@0-8%10", "--fault", "slow:0.3%10"),
)
FIRST_MS = 40_000  # of our own recording: by then a daemon trades, however slow the machine


class Demo:
    """One that runs, with a folder of its own for temporary files, which must be empty when it has ended."""

    def __init__(self, home: Path, *arguments: str, prefix: str = "", stdout: int | IO[str] = subprocess.PIPE) -> None:
        self._temporary = home / "t"
        self._temporary.mkdir(parents=True)
        line = command("demo", *arguments)
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {' '.join(line)} {prefix}"] if prefix else line,
            cwd=ROOT,
            env={**clean_environment(home), "TMPDIR": str(self._temporary)},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = self.err = ""

    def ended(self) -> int:
        """The exit code; what it wrote is in `out` and `err`."""
        if self.process.returncode is None:
            self.out, self.err = self.process.communicate(timeout=PATIENCE_S)
        assert list(self._temporary.iterdir()) == []
        return self.process.returncode

    def summary(self) -> dict[str, Any]:
        """One JSON object on one line, and nothing else."""
        assert self.out.count("\n") == 1, self.out
        found: dict[str, Any] = json.loads(self.out)
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Demo]]:
    """Those that only have to run their time, all at once."""
    home = tmp_path_factory.mktemp("demos")
    own = str(recorded(home / "recording.json"))
    reader, gone = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("w") as full:
        found = {
            "json": Demo(home / "json", "--seconds", "16", "--seed", "1", "--json"),
            "text": Demo(home / "text", "--seconds", "16", "--seed", "2"),
            "faulty": Demo(home / "faulty", "--seconds", "20", "--json", *FAULTY),
            "hold": Demo(home / "hold", "--seconds", "6", "--policy", "hold", "--json"),
            "gone": Demo(home / "gone", "--seconds", "8", stdout=gone),
            "full": Demo(home / "full", "--seconds", "1", "--json", stdout=full),
            "closed": Demo(home / "closed", "--seconds", "8", "--json", prefix="<&- >&- 2>&-"),
            "own": Demo(home / "own", "--recording", own, "--speed", "4", "--seconds", "13", "--json"),
        }
        if RECORDED.exists():
            line = ("--recording", str(RECORDED), "--speed", "6", "--seconds", "12", "--json")
            found["production"] = Demo(home / "production", *line)
    os.close(gone)
    yield found
    for each in found.values():
        each.close()


def frame(place: int, at_ms: int, **msg: object) -> dict[str, object]:
    kind = "orderbook_delta" if "side" in msg else "orderbook_snapshot"
    body = {"market_ticker": MARKET, "market_id": "id-1", **msg}
    return {"received_ms": 1_000 + at_ms, "frame": {"type": kind, "sid": 1, "seq": place, "msg": body}}


def recorded(path: Path, *, broken: bool = False) -> Path:
    """A book, still for forty seconds, then 100 changes of one level within two; the last leaves it as it was."""
    levels = [["0.4800", "30.00"], ["0.4700", "50.00"]]
    frames = [frame(1, 0, yes_dollars_fp=levels, no_dollars_fp=[["0.5000", "20.00"], ["0.4900", "40.00"]])]
    for number in range(100):
        change = "1.00" if number % 2 == 0 else "-1.00"
        level = {"side": "yes", "price_dollars": "0.4700", "delta_fp": change}
        frames.append(frame(number + 2 + (broken and number > 40), FIRST_MS + 20 * number, **level))
    path.write_text(json.dumps({"frames": frames}))
    return path


# ------------------------------------------------------------------------------------------------------ the summary


def test_the_summary(demos: dict[str, Demo]) -> None:
    """Exactly the documented keys and types, the whole path, figures that fit each other, 0, and no word beside it."""
    demo = demos["json"]
    assert (demo.ended(), demo.err) == (0, "")
    summary = demo.summary()
    assert {name: type(value) for name, value in summary.items()} == {
        "states": list,
        "seconds_to_trading": float,
        "deltas": int,
        "decisions": int,
        "orders": int,
        "fills": int,
        "refused": dict,
        "cash_start": str,
        "cash_end": str,
        "profit": dict,
        "positions": dict,
        "invariants": dict,
        "daemon_exit_code": int,
    }
    assert [each["state"] for each in summary["states"]] == TO_TRADING + TO_THE_END
    assert all(each.keys() == {"state", "at_s", "cause"} for each in summary["states"])
    times = [each["at_s"] for each in summary["states"]]
    assert times == sorted(times)
    assert summary["seconds_to_trading"] == times[3]
    assert summary["invariants"].keys() == {"checked", "violated"}
    assert summary["invariants"]["violated"] == []
    assert summary["invariants"]["checked"] > 0
    assert min(summary["deltas"], summary["decisions"], summary["orders"], summary["fills"]) > 0
    assert summary["cash_start"] == "5000.000000"
    assert summary["cash_end"] != "5000.000000"
    assert summary["positions"]


def test_without_json_it_is_text_that_can_be_read_in_a_log(demos: dict[str, Demo]) -> None:
    """Not in a terminal: a line when the state changes, and the summary at the end."""
    demo = demos["text"]
    assert (demo.ended(), demo.err) == (0, "")
    lines = demo.out.splitlines()
    assert " · " in lines[0]
    assert lines[lines.index("states") + 4].split()[2:] == ["trading.normal", "calibrated"]
    assert any(line.startswith("cash        $5,000.00 before, $") for line in lines)
    assert any(line.startswith("invariants  ") and line.endswith(" 0 violated") for line in lines)
    assert "\x1b" not in demo.out


def test_a_demo_that_fills_nothing_fell_short(demos: dict[str, Demo]) -> None:
    """The policy `hold` decides and never orders: the summary is printed, the exit code is 1, and a line says why."""
    demo = demos["hold"]
    assert (demo.ended(), demo.err) == (1, "kalshi-daemon: the demo fell short: no order was filled (try longer)\n")
    summary = demo.summary()
    assert (summary["orders"], summary["fills"], summary["positions"]) == (0, 0, {})
    assert summary["cash_end"] == "5000.000000"
    assert summary["decisions"] > 0


def test_a_demo_with_faults_is_exact(demos: dict[str, Demo]) -> None:
    """Refused, reset, gapped and slow, with answers of orders lost: it trades, ends with 0, and the account agrees."""
    demo = demos["faulty"]
    assert (demo.ended(), demo.err) == (0, "")
    summary = demo.summary()
    assert (summary["daemon_exit_code"], summary["invariants"]["violated"]) == (0, [])
    assert min(summary["invariants"]["checked"], summary["decisions"], summary["fills"]) > 0


WELL = Summary(
    states=(StateEntered("trading.normal", 0.2, "calibrated"),),
    seconds_to_trading=0.2,
    deltas=1,
    decisions=1,
    orders=1,
    fills=1,
    refused={},
    cash_start="1.000000",
    cash_end="4927.871000",
    profit=Profit("-1.710000", "0.500000", "-2.000000", "0.210000", 0),
    positions={},
    invariants=Asked(1, ()),
    daemon_exit_code=0,
)


@pytest.mark.parametrize(
    ("changed", "recorded", "says"),
    [
        ({}, False, ""),
        ({"fills": 0}, True, ""),
        ({"fills": 0}, False, "no order was filled (try longer)"),
        ({"decisions": 0}, True, "it took no decision"),
        ({"seconds_to_trading": None}, True, "it never reached trading"),
        ({"invariants": Asked(9, ("3: an order rests",))}, True, "an invariant was violated"),
        ({"daemon_exit_code": EXIT_FAILED}, True, "the daemon ended with 77"),
    ],
)
def test_what_a_demo_must_have_shown(changed: dict[str, Any], recorded: bool, says: str) -> None:
    """Trading, decisions, no violation, a clean end of the daemon, and, outside recordings, fills."""
    assert evolve(WELL, **changed).shortfall(recorded=recorded) == says


def test_money_is_shown_as_in_the_live_lines() -> None:
    """Cash with its thousands apart, and profit with its parts; the JSON keeps every micro-dollar."""
    lines = WELL.as_text().splitlines()
    assert "cash        $1.00 before, $4,927.871 after" in lines
    assert "profit      -$1.71 (realised $0.50, unrealised -$2.00, fees $0.21)" in lines
    assert json.loads(WELL.as_json())["profit"]["total"] == "-1.710000"


# ---------------------------------------------------------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_a_summary(number: signal.Signals, tmp_path: Path) -> None:
    """Mid-run, and asked twice: swept, summed up, no word on standard error but what fell short, and no folder left."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"whoever runs the tests had {number.name} ignored")
    demo = Demo(tmp_path, "--json")
    until(partial(hears, demo.process, signal.SIGTERM), "a handler")
    time.sleep(random.Random(number).uniform(1.0, 3.0))
    demo.process.send_signal(number)
    demo.process.send_signal(number)
    code = demo.ended()
    assert (code, demo.err) in {(0, ""), (1, "kalshi-daemon: the demo fell short: no order was filled (try longer)\n")}
    summary = demo.summary()
    assert [each["state"] for each in summary["states"]][-3:] == TO_THE_END
    assert (summary["daemon_exit_code"], summary["invariants"]["violated"]) == (0, [])


def in_main(process: subprocess.Popen[str]) -> bool:
    """Whether it is past the interpreter's own start: a library is loaded that only a command asks for."""
    return "msgspec" in Path(f"/proc/{process.pid}/maps").read_text()


def test_ctrl_c_at_any_moment_of_the_start_is_quiet(tmp_path: Path) -> None:
    """While it imports, builds, connects: no traceback, no folder left; 130 where there is no daemon yet."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("whoever runs the tests had SIGINT ignored")
    draw = random.Random(5)
    starting = [Demo(tmp_path / str(number), "--json") for number in range(6)]
    for demo in starting:
        until(partial(in_main, demo.process), "the command line")
        time.sleep(draw.uniform(0.0, 0.8))
        demo.process.send_signal(signal.SIGINT)
    for demo in starting:
        code = demo.ended()
        assert "Traceback" not in demo.err
        assert (code, demo.out != "") in {(INTERRUPTED, False), (1, True), (0, True)}


# ----------------------------------------------------------------------------------------------------- what is written


def test_a_reader_that_goes_does_not_stop_it(demos: dict[str, Demo]) -> None:
    """`demo | head -1`: it runs to its end, quietly, and its exit code is what it has shown."""
    demo = demos["gone"]
    assert (demo.ended(), demo.err) == (0, "")


def test_closed_streams_are_no_reason_to_fail(demos: dict[str, Demo]) -> None:
    """Started with its standard streams closed, its sockets and files take other numbers, and it ends with 0."""
    assert demos["closed"].ended() == 0


def test_a_summary_that_cannot_be_written_is_said(demos: dict[str, Demo]) -> None:
    """A full disk under standard output is an error."""
    demo = demos["full"]
    assert demo.ended() == EXIT_FAILED
    assert demo.err == "kalshi-daemon: standard output cannot be written: No space left on device\n"


# ------------------------------------------------------------------------------------------------------- recordings


def test_a_recording_is_played_to_its_end(demos: dict[str, Demo]) -> None:
    """Faster than it was, every change after the still beginning is one delta, and decisions are taken on the book."""
    demo = demos["own"]
    assert (demo.ended(), demo.err) == (0, "")
    summary = demo.summary()
    assert summary["seconds_to_trading"] < FIRST_MS / 4 / 1_000, "too slow a machine for this test"
    assert summary["deltas"] == 100
    assert summary["decisions"] > 0


@pytest.mark.skipif(not RECORDED.exists(), reason=f"the recording of the exchange is not here: {RECORDED}")
def test_the_recorded_production_stream_is_traded_on(demos: dict[str, Demo]) -> None:
    """The real input: twelve recorded markets, faster than they were; orders filled, and the account exact."""
    demo = demos["production"]
    assert (demo.ended(), demo.err) == (0, "")
    summary = demo.summary()
    changes = [step for step in read_recording(RECORDED).steps if isinstance(step, RecordedLevel)]
    later = sum(step.offset_ms / 6 > summary["seconds_to_trading"] * 1_000 for step in changes)  # all are due by then
    assert 0 < later <= summary["deltas"] <= len(changes) == 245
    assert min(summary["decisions"], summary["orders"], summary["fills"]) > 0
    assert summary["invariants"]["violated"] == []
    assert all(market.startswith("KX") for market in summary["positions"])


def test_a_broken_recording_names_the_frame(tmp_path: Path) -> None:
    """78 and one line, before anything runs; a file that is none is said in the same way."""
    path = recorded(tmp_path / "recording.json", broken=True)
    done = run("demo", "--recording", str(path), "--json", variables=clean_environment(tmp_path))
    assert (done.stdout, done.returncode) == ("", EXIT_CONFIGURATION)
    assert (
        f"the recording '{path}': recording: frame 42: ValueError: seq 44 of subscription 1 follows 42" in done.stderr
    )
    assert done.stderr.count("\n") == 1
    for other, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (ROOT / "LICENSE", "JSON"),
    ):
        done = run("demo", "--recording", str(other), "--json", variables=clean_environment(tmp_path))
        assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("", EXIT_CONFIGURATION, 1)
        assert reason in done.stderr


# ------------------------------------------------------------------------------------------------------ the emulator


def test_the_emulator_says_when_its_port_is_taken(tmp_path: Path) -> None:
    """One line and 78; what a port may be is said by argparse."""
    with emulator(tmp_path) as variables:
        port = variables["KALSHI_REST_URLS"].split(":")[2].split("/")[0]
        done = run("emulator", "--port", port, variables=clean_environment(tmp_path))
    assert (done.stdout, done.returncode) == ("", EXIT_CONFIGURATION)
    assert done.stderr.startswith(f"kalshi-daemon: --port is {port}, which cannot be had: ")
    assert done.stderr.count("\n") == 1
    done = run("emulator", "--port", "70000", variables=clean_environment(tmp_path))
    assert done.returncode == 2
    assert done.stderr.endswith("error: argument --port: 70000 is not a port: 0 to 65535\n")
