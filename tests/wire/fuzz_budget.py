"""How many inputs are mutated in one run, and how: seeded, so that a finding is had again from its number.

A run mutates 100,000 frames and bodies, and books and fills beside them. `FUZZ_MUTATIONS=10000000` in the environment
is a nightly run.
"""

from __future__ import annotations

import copy
import os

FUZZED = int(os.environ.get("FUZZ_MUTATIONS", "100000"))
ODD = [
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**64, 10**40, 0.5, -0.0, 1e308, "", " ", "yes", "0.5", "0.50000",
    "-1", "1e5", "NaN", "\x00", "٣", "x" * 5_000, [], [[]], [["0.5", "1"]], [["0.5", "1", "2"]], {}, {"type": "ok"},
    "2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z",
]  # fmt: skip


def mutated_value(rng, value):
    """One value somewhere in the tree replaced, removed, doubled or renamed."""
    tree = copy.deepcopy({"root": value})
    node, key = tree, "root"
    while isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.8:
        node = node[key]
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    act = rng.randrange(4)
    if act == 0 and node is not tree:
        del node[key]
    elif act == 1 and isinstance(node, list):
        node.append(node[key])
    elif act == 2 and isinstance(node, dict) and node is not tree:
        node[rng.choice(["", "type", "msg", "x"])] = node.pop(key)
    else:
        node[key] = rng.choice(ODD)
    return tree["root"]


def mutated_bytes(rng, data):
    """A few bytes flipped, cut, repeated or put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at_byte = rng.randrange(len(out) + 1)
        act = rng.randrange(5)
        if act == 4:
            out[at_byte:at_byte] = b"9" * rng.choice([1, 20, 5_000])  # more digits than an integer may be read from
        elif act == 0:
            del out[at_byte : at_byte + rng.randint(1, 8)]
        elif act == 1:
            out[at_byte:at_byte] = rng.randbytes(rng.randint(1, 3))
        elif act == 2:
            out[at_byte:at_byte] = out[max(0, at_byte - 5) : at_byte]
        elif at_byte < len(out):
            out[at_byte] ^= 1 << rng.randrange(8)
    return bytes(out)
