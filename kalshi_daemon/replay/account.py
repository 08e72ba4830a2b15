"""The account of a recorded run, folded from its journal, at each version that a batch names.

Rule: a version is the number of facts that were folded, which is the number of the last event; a batch is never asked
for an account of before, because neither goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kalshi_daemon.core.changes import Change
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import AccountFact


class RecordedAccount:
    def __init__(
        self, facts: Iterable[tuple[int, AccountFact]], on_fact: Callable[[AccountFact, Sequence[Change]], None]
    ) -> None:
        """`facts` are all of a journal, by number; `on_fact` is told of each after it was folded, with what it
        changed.
        """
        self.ledger = Ledger()
        self._facts = iter(facts)
        self._on_fact = on_fact

    def advance(self, version: int) -> bool:
        """Fold up to this event; false where the journal ends before. Raises what reading it raises."""
        while self.ledger.version < version:
            if not self._next():
                return False
        return True

    def finish(self) -> None:
        """Fold what is left."""
        while self._next():
            pass

    def _next(self) -> bool:
        _seq, fact = next(self._facts, (0, None))
        if fact is None:
            return False
        self._on_fact(fact, self.ledger.apply(fact))
        return True
