"""Golden vectors: files with what was told of a market and an account, and the 52 float32 that follow, in hex.

Rules: they are inputs of the exchange and values of a model, so that they outlive every implementation. A vector is
changed only where a formula is, and `FORMULAS_VERSION` with it; `python tests/policy/golden_vectors.py` then writes the
values anew from the literal reference.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from told_inputs import Look

from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.reference import Account, Held, Told, Working
from kalshi_daemon.units import BookSide

VECTORS = sorted(Path(__file__).with_name("golden").glob("*.json"))


def look_of(vector: dict[str, Any]) -> Look:
    account = vector["account"]
    held = {market: Held(*each) for market, each in account["held"].items()}
    return Look(
        told=[_told(each) for each in vector["messages"]],
        other=[_told(each) for each in vector["messages_of_n"]],
        last_trade=vector["last_trade"],
        fee_multiplier_ppm=vector["fee_multiplier_ppm"],
        orders=[Working(BookSide(side), price, placed_ms) for side, price, placed_ms in vector["orders"]],
        account=Account(account["available"], account["settled"], held),
        now_ms=vector["now_ms"],
    )


def _told(each: dict[str, Any]) -> Told:
    if "change" in each:
        delta = BookDelta(1, 1, "M", each["leg"] == "yes", each["price"], each["change"], each["ts_ms"], None)
        return Told(delta, each["received_ms"])
    levels = [[(price, count) for price, count in each[leg]] for leg in ("yes", "no")]
    return Told(BookSnapshot(1, 1, "M", levels[0], levels[1], None, None, each["sending_ms"]), each["received_ms"])


def in_hex(values: list[float]) -> dict[str, str]:
    """By name, in order, each the four bytes of a float32 after the last step, the sign first."""
    clipped = [min(max(value, -2.0), 2.0) for value in values]
    return {name: struct.pack(">f", value).hex() for name, value in zip(FEATURES, clipped, strict=True)}


def text_of(vector: dict[str, Any]) -> str:
    """One message, one order, one feature a line."""
    lines = []
    for name, value in vector.items():
        if name == "observation":
            inner = ",\n".join(f"  {json.dumps(each)}: {json.dumps(bits)}" for each, bits in value.items())
            lines.append(f'"{name}": {{\n{inner}\n}}')
        elif isinstance(value, list) and value:
            inner = ",\n".join(f"  {json.dumps(each)}" for each in value)
            lines.append(f'"{name}": [\n{inner}\n]')
        else:
            lines.append(f'"{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    for path in VECTORS:
        vector = json.loads(path.read_text())
        path.write_text(text_of({**vector, "observation": in_hex(look_of(vector).reference())}))
