"""What an error of a stream means, by its code: the one classification of them (api.md 7.1).

A refusal that says how the command was formed is the same for the same command until the exchange is another; every
other passes, those that we do not know among them, and is worth asking again soon. Two codes end a subscription
whenever they come; a third does where it answers a command of a subscription that we hold: the exchange has it no more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class StreamRemedy(StrEnum):
    """What follows."""

    AGAIN = "again"  # it passes: asked again, later each time
    SELDOM = "seldom"  # the command is wrong, or may not be ours: nothing but a change at the exchange heals it
    RESUBSCRIBE = "resubscribe"  # the subscription is gone, and what it would have said since


_WRONG: Final = frozenset({2, 3, 4, 5, 8, 9, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 28})
_ENDED: Final = frozenset({10, 25})  # channel error, buffer overflow
_NOT_KNOWN: Final = 7  # the id of a subscription


def remedy_of(code: int, *, subscribed: bool) -> StreamRemedy:
    """`subscribed`: it answers a command about a subscription that we hold."""
    if code in _ENDED or (code == _NOT_KNOWN and subscribed):
        return StreamRemedy.RESUBSCRIBE
    return StreamRemedy.SELDOM if code in _WRONG else StreamRemedy.AGAIN
