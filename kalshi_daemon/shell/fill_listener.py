"""The fills role: private fills, order updates and what becomes of order groups, on their way to the event bus.

Nothing is decided here and nothing is lost: a fact is posted as it was read, and the ledger tells the late from the
early. These channels carry no sequence numbers, so that a quiet feed proves nothing; the sync service reads fills by
cursor.
"""

from __future__ import annotations

from collections.abc import Callable

from kalshi_daemon.facts import FillSeen, OrderGroupTold, OrderSeen


class FillListener:
    def __init__(self, post: Callable[[FillSeen | OrderSeen | OrderGroupTold], None]) -> None:
        self.messages = 0
        self._post = post

    def on_private(self, fact: FillSeen | OrderSeen | OrderGroupTold) -> None:
        self.messages += 1
        self._post(fact)
