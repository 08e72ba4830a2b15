"""What is said at the emulator's own door: its fields, or one line on why it cannot be.

Rules: a field that is not known is refused, and so is one of another type, before anything changes.
"""

from __future__ import annotations

from collections.abc import Collection

from kalshi_daemon.emulator.bodies import Body


class NotDone(Exception):
    """`status` and one line for whoever asked."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def only(body: Body, fields: Collection[str]) -> None:
    """Raises NotDone where the body says more than these."""
    if unknown := body.keys() - set(fields):
        known = f"only {', '.join(sorted(fields))} are known here" if fields else "nothing is to be said here"
        raise NotDone(400, f"{', '.join(sorted(unknown))}: {known}")


def text(body: Body, name: str, example: str) -> str:
    """Raises NotDone."""
    value = body.get(name)
    if not isinstance(value, str):
        raise NotDone(400, f'{{"{name}": "{example}"}} is needed')
    return value


def word(body: Body, name: str, allowed: Collection[str]) -> str:
    """Raises NotDone."""
    value = body.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise NotDone(400, f'{{"{name}": ...}} is needed, with one of {", ".join(allowed)}')
    return value


def whole(body: Body, name: str, least: int, most: int) -> int:
    """Raises NotDone."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise NotDone(400, f'{{"{name}": N}} is needed: a whole number from {least} to {most}')
    return value


def shard_of(body: Body, shards: Collection[int]) -> int:
    """The one that is named, 0 where none is. Raises NotDone."""
    shard = whole(body, "shard", 0, max(shards)) if "shard" in body else 0
    if shard not in shards:
        raise NotDone(400, f"there is no shard {shard}: {', '.join(map(str, shards))}")
    return shard
