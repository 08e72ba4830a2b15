"""What computes here: features and inferences are promised bit for bit only where all of this is the same."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from kalshi_daemon import __version__

COMPUTING: Final = ("numpy", "onnxruntime")
CPU_INFO: Final = Path("/proc/cpuinfo")
CPU_NAME: Final = "model name"


@cache
def versions() -> Mapping[str, str]:
    return {
        "kalshi-daemon": __version__,
        "python": platform.python_version(),
        **{package: _version(package) for package in COMPUTING},
        "machine": platform.machine(),
        "cpu": _cpu(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpu() -> str:
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return "not known"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(CPU_NAME))
    return next(named, "not known")
