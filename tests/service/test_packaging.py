"""Locks, Makefile, licence and .ci: what a fresh machine meets first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def required(requirements: list[str]) -> set[str]:
    names = {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}
    return names - {PROJECT["name"]}


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "tests/service/clients/requirements.lock"]
)
def test_a_lock_has_hashes_and_no_addresses(name: str) -> None:
    """Every package has its hashes, and nothing says where it comes from."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert [
        line for line in text.splitlines() if not re.match(r"[a-z0-9-]+==|    --hash=sha256:[0-9a-f]{64}", line)
    ] == []
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_core_lock_is_part_of_the_development_lock() -> None:
    """The same packages have the same versions in both, so that a demo after a test installs nothing anew."""
    core, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert core.items() <= development.items()
    assert not {"pytest", "mypy", "ruff", "onnx", "hypothesis"} & core.keys()


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """A dependency that is added without `make lock` is found here."""
    extras = PROJECT["optional-dependencies"]
    core = required(PROJECT["dependencies"]) | required(extras["build"])
    assert core <= pins("requirements.lock").keys()
    assert core | required(extras["dev"]) | required(extras["train"]) <= pins("requirements-dev.lock").keys()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_passes_seconds_and_seed_and_drops_a_foreign_environment() -> None:
    """`make demo SECONDS=5 SEED=7` says so to the program; PYTHONPATH of another environment does not reach it."""
    dry = ["make", "--dry-run", "--assume-old=requirements.lock", "demo", "SECONDS=5", "SEED=7"]
    own = {name: value for name, value in os.environ.items() if "MAKE" not in name}  # this may be `make test`
    foreign = {**own, "PYTHONPATH": "elsewhere", "VIRTUAL_ENV": "elsewhere"}
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True, env=foreign)
    assert done.stdout.splitlines()[-1] == ".venv/bin/python -m kalshi_daemon demo --seconds 5 --seed 7"
    assert re.search(r"^unexport PYTHONPATH PYTHONHOME .*VIRTUAL_ENV", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_ci_runs_the_checks_and_the_tests() -> None:
    """The script is a program, is valid bash, and stops at the first failure."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("make check\nmake test")


def test_the_licence_is_the_whole_text() -> None:
    """Apache-2.0, from its first line to its appendix, as the project's metadata says."""
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")
