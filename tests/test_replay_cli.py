"""`kalshi-daemon replay` as it is typed: what is printed where, the picture, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kalshi_daemon.cli import main
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_FAILED

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("KALSHI_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KALSHI_POLICY", "rules")


def test_a_crowd_is_traded_on_and_drawn(tmp_path: Path, capsys: Captured) -> None:
    """One JSON object and nothing else; the picture is where it was asked for; no key was needed."""
    picture = tmp_path / "curve.svg"
    given = ["replay", "--seconds", "5", "--seed", "7", "--cash", "1234.5", "--json", "--picture", str(picture)]
    assert main(given) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["source"], report["seed"], report["equity_start"]) == ("crowd of seed 7", 7, "1234.500000")
    assert picture.read_text().startswith("<svg")
    assert main(["replay", "--seconds", "2"]) == 0
    assert capsys.readouterr().out.startswith("crowd of seed 1: rules rules\n2 s, ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--cash", "0.5"], "0.5 is not an amount from 1 to $1,000,000.00"),
        (["--cash", "1e6"], "1e6 is not an amount"),
        (["--seconds", "nan"], "nan is not a number above 0"),
        (["--seed", "-1"], "-1 is not a seed"),
    ],
)
def test_arguments_that_are_refused(given: list[str], said: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["replay", *given])
    assert said in capsys.readouterr().err


def test_files_that_are_refused(tmp_path: Path, capsys: Captured) -> None:
    """A recording that is none, and a picture that cannot be written: one line each, and a code that says which."""
    assert main(["replay", str(tmp_path / "none.json")]) == EXIT_CONFIGURATION
    assert "No such file" in capsys.readouterr().err
    assert main(["replay", "--seconds", "1", "--picture", str(tmp_path / "no" / "curve.svg")]) == EXIT_FAILED
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
