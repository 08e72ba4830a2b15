"""Which events of a journal somebody asks for: by number, time, kind, market and order.

Rules: an answer to an order names neither its market nor, before it is accepted, the exchange's id, so that what
belongs together is learnt from the whole journal first, and shown after. Only ids of what was asked for are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import frozen

from kalshi_daemon.facts import AccountFact, OrderIntended
from kalshi_daemon.shell.journal_reader import Entry, JournalReader
from kalshi_daemon.units import Milliseconds, Ticker

SIDES: Final = ("client_order_id", "order_id")  # the two names of one order


@frozen
class Wanted:
    """Empty or None: whichever. Numbers and times are from and to, both included."""

    first: int = 1
    last: int | None = None
    since_ms: Milliseconds | None = None
    until_ms: Milliseconds | None = None
    kinds: frozenset[str] = frozenset()
    market: Ticker = ""
    order: str = ""


class Choice:
    """Which events are asked for. What belongs to the market and to the order is learnt on the way."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._of_market: set[str] = set()  # ids of the market's orders
        self._of_order: set[str] = set()  # both names of the order

    def entries(self, journal: JournalReader) -> Iterator[Entry]:
        """Those of the journal, in order. Raises what reading raises."""
        if self._wanted.market or self._wanted.order:
            for entry in journal.entries():
                self._learn(entry.fact)
        for entry in journal.entries(self._wanted.first, self._wanted.last):
            if self.takes(entry):
                yield entry

    def takes(self, entry: Entry) -> bool:
        """Whether a next event is asked for, its number apart."""
        wanted, at_ms = self._wanted, entry.fact.at_ms
        self._learn(entry.fact)
        early = wanted.since_ms is not None and at_ms < wanted.since_ms
        late = wanted.until_ms is not None and at_ms > wanted.until_ms
        return not early and not late and (not wanted.kinds or entry.kind in wanted.kinds) and self._is_of(entry.fact)

    def _is_of(self, fact: AccountFact) -> bool:
        names, market, wanted = _names(fact), _market(fact), self._wanted
        here = not wanted.market or market == wanted.market or (not market and bool(names & self._of_market))
        return here and (not wanted.order or bool(names & self._of_order))

    def _learn(self, fact: AccountFact) -> None:
        names, wanted = _names(fact), self._wanted
        if wanted.market and _market(fact) == wanted.market:
            self._of_market |= names
        if wanted.order and (wanted.order in names or names & self._of_order):
            self._of_order |= names


def _names(fact: AccountFact) -> set[str]:
    return {name for side in SIDES if (name := getattr(fact, side, ""))}


def _market(fact: AccountFact) -> Ticker:
    """Empty where the fact does not say."""
    if isinstance(fact, OrderIntended):
        return fact.spec.market
    market: Ticker = getattr(fact, "market", "") or getattr(fact, "subject", "")
    return market
