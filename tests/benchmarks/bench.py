"""The benchmarks: prints one JSON object, figures beside their goals. `bench.py [--short] [NAME ...]`.

`--short` runs each a little, for what it asserts of correctness; its figures mean nothing. Nothing here fails for a
time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # run as a file, from wherever

import bench_b1_frame_to_book  # noqa: E402 - the path comes first
import bench_b2_observation  # noqa: E402
import bench_b3_frame_to_order  # noqa: E402
import bench_b4_tick_to_trade  # noqa: E402
import bench_b5_many_markets  # noqa: E402
import bench_b7_start  # noqa: E402
import bench_b8_reconnect  # noqa: E402
import bench_b10_journal  # noqa: E402
import bench_b12_growth  # noqa: E402
from harness import machine  # noqa: E402

BENCHMARKS: dict[str, Callable[..., dict[str, Any]]] = {
    "B1": bench_b1_frame_to_book.run,
    "B2": bench_b2_observation.run,
    "B3": bench_b3_frame_to_order.run,
    "B4": bench_b4_tick_to_trade.run,
    "B5": bench_b5_many_markets.run,
    "B7": bench_b7_start.run,
    "B8": bench_b8_reconnect.run,
    "B10": bench_b10_journal.run,
    "B12": bench_b12_growth.run,
}


def main(arguments: list[str]) -> int:
    short = "--short" in arguments
    names = [argument for argument in arguments if argument != "--short"]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}\n")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        report: dict[str, Any] = {"short": short, "machine": machine(Path(directory))}
    for name in names or BENCHMARKS:
        report[name] = BENCHMARKS[name](short=short)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
