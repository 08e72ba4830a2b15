"""A real daemon without a terminal is given another model, by a signal and on the command line."""

from __future__ import annotations

import hashlib
import signal
import sys
from pathlib import Path

import onnx
from processes import ROOT, emulator, running, until

from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import ModelReplaced
from kalshi_daemon.shell.journal_reader import read_journal

ALONE = "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, '-m', 'kalshi_daemon', *sys.argv[1:]])"


def put_model(path: Path, created: str) -> str:
    """The shipped model under another date; the digest of the file that is at `path` now."""
    model = onnx.load(ROOT / "kalshi_daemon" / "policy" / "policy.onnx")
    next(each for each in model.metadata_props if each.key == "created").value = created
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_signal_and_a_command_replace_the_model(tmp_path: Path) -> None:
    """SIGHUP takes the new file, a damaged one is refused on the command line in one line, trading is never left, and
    the journal has the one that was taken.
    """
    model = tmp_path / "policy.onnx"
    first = put_model(model, "2026-11-01")
    with emulator(tmp_path) as variables:
        given = {**variables, "KALSHI_MODEL": str(model)}
        with running(given, tmp_path / "daemon", program=(sys.executable, "-c", ALONE)) as daemon:
            daemon.until_in("trading.normal")
            second = put_model(model, "2026-11-02")
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: f"model {second[:12]} decides, not {first[:12]}" in daemon.log(), "the new model")
            model.write_bytes(b"no model")
            code, text = daemon.ask("reload", "a", "test")
            assert (code, text.count("\n")) == (1, 1)
            assert f"{model} cannot be read as ONNX" in text
            put_model(model, "2026-11-02")
            assert daemon.ask("reload") == (0, f"model {second[:12]} decides: the file is what it was\n")
            assert daemon.stop() == EXIT_STOPPED
            charts = [line for line in daemon.log().splitlines() if "chart=trader" in line]
            assert not [line for line in charts if "left=trading" in line and "through=stop" not in line]
        replaced = [fact for _, fact in read_journal(daemon.journal) if isinstance(fact, ModelReplaced)]
        assert [(fact.before, fact.now) for fact in replaced] == [(first, second), (second, second)]
        assert replaced[0].by == "reload by SIGHUP: no reason given"
