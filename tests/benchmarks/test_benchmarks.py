"""The benchmarks run, short, for what they assert of correctness; no time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import BENCHMARKS
from harness import Variant, compare, goal, quantile

BENCH = Path(__file__).with_name("bench.py")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_short_run_is_correct_and_names_its_goals(name: str) -> None:
    """Each benchmark's own assertions hold, and each goal has a figure."""
    report = BENCHMARKS[name](short=True)
    assert report["goals"]
    assert all(each["figure"] is not None and isinstance(each["reached"], bool) for each in report["goals"].values())


def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    """From any directory, with the machine beside the figures."""
    done = subprocess.run([sys.executable, BENCH, "--short", "B1"], cwd=tmp_path, capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert set(report) == {"short", "machine", "B1"}
    assert set(report["machine"]) == {"python", "processors", "load", "fdatasync_us"}


def test_an_unknown_name_is_refused() -> None:
    done = subprocess.run([sys.executable, BENCH, "B99"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no such benchmark: B99; there are B1, ")


def test_variants_take_turns_within_each_round() -> None:
    """Getting ready comes first, then slice by slice in turn; each round begins with another variant."""
    order: list[str] = []

    def variant(name: str) -> Variant:
        def work() -> Iterator[None]:
            for step in range(3):
                order.append(f"{name}{step}")
                yield

        return Variant(name, 10, work)

    result = compare([variant("a"), variant("b")], rounds=2)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2", "b0", "a0", "b1", "a1", "b2", "a2"]
    assert result.ratio("a") == 1.0
    assert {name: len(rates) for name, rates in result.rates.items()} == {"a": 2, "b": 2}


def test_quantiles_and_goals() -> None:
    assert [quantile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.5, 0.75, 0.76, 1.0)] == [1.0, 2.0, 3.0, 4.0, 4.0]
    assert goal(3.0, 3.0, least=True)["reached"]
    assert not goal(3.1, 3.0, least=False)["reached"]
