"""`kalshi-daemon model` as it is typed: what a file says, which verdicts, and that no key is needed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from kalshi_daemon.cli import main
from kalshi_daemon.config import SHIPPED_MODEL
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_FAILED
from kalshi_daemon.policy.features import schema_hash

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("KALSHI_"):
            monkeypatch.delenv(name)


def test_the_shipped_model_is_shown_with_both_verdicts(capsys: Captured) -> None:
    """In the demo environment it may decide; in production it is a reference."""
    assert main(["model", "show", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(SHIPPED_MODEL)
    assert told["sha256"] == hashlib.sha256(SHIPPED_MODEL.read_bytes()).hexdigest()
    assert told["bytes"] == SHIPPED_MODEL.stat().st_size
    assert told["inputs"] == [{"name": "observation", "type": "tensor(float)", "shape": ["any", 52]}]
    assert told["metadata"]["observation_schema"] == told["observation_schema_here"] == schema_hash()
    assert told["refused"]["demo"] == ""
    assert "metadata reference is 'true', wanted 'false in production" in told["refused"]["production"]
    assert main(["model", "show"]) == 0
    text = capsys.readouterr().out
    assert "input       observation tensor(float) (any, 52)\n" in text
    assert "demo        may decide\nproduction  refused: the model does not fit" in text


def test_check_is_what_run_would_say(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """By the environment's sizes, pricing and environment; one line, and the code of `run`."""
    assert main(["model", "check"]) == 0
    assert capsys.readouterr().out == f"{SHIPPED_MODEL} may decide in demo\n"
    monkeypatch.setenv("KALSHI_ORDER_SIZES", "5,10")
    assert main(["model", "check"]) == EXIT_FAILED
    assert "metadata sizes is '5', wanted '5,10' by KALSHI_ORDER_SIZES" in capsys.readouterr().err
    monkeypatch.setenv("KALSHI_ORDER_SIZES", "5")
    monkeypatch.setenv("KALSHI_ENVIRONMENT", "production")
    assert main(["model", "check"]) == EXIT_FAILED
    assert "false in production" in capsys.readouterr().err
    monkeypatch.setenv("KALSHI_PRICING", "best")
    assert main(["model", "check"]) == EXIT_CONFIGURATION
    assert capsys.readouterr().err == "kalshi-daemon: KALSHI_PRICING is 'best'; allowed: take, join, improve or mid\n"


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\x00" * 1_000])
def test_what_is_no_model(content: bytes | None, tmp_path: Path, capsys: Captured) -> None:
    """A file that is missing, empty or something else is one line, in both commands."""
    file = tmp_path / "other.onnx"
    if content is not None:
        file.write_bytes(content)
    for action in ("show", "check"):
        assert main(["model", action, str(file)]) == EXIT_FAILED
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"kalshi-daemon: {file} cannot be read")
        assert said.err.count("\n") == 1
