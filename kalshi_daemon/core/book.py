"""One market's order book, as the exchange sends it: both legs as bids, each in its own prices.

A NO bid at q is an offer of YES at `PRICE_ONE - q`, so the best ask is `PRICE_ONE` minus the best NO bid, sizes copied.

Rules:
- Integers only. A dict holds price -> count, a sorted list the prices; the list is touched only when a level appears or
  goes.
- Refuses what it cannot prove: a delta before any snapshot, a level below zero, a price outside the contract, a level
  sent twice. After a refusal the book is not `known`, and stays so until the next snapshot; its old levels remain for
  comparison.
- A crossed book is told by `crossed` and refused only by `prove_uncrossed`. The recordings show none, not even between
  two deltas of one match, so the client asks after every message. It is not a rule of `apply_delta`, because the
  exchange does not promise an order for the deltas of one match.
- Order across messages is the client's: sequence numbers are counted per subscription, not per market.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from kalshi_daemon.errors import OperatingError
from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.units import PRICE_CENT, PRICE_ONE, Count, Milliseconds, Price, Ticker, cents, contracts

NEAR_BEST: Price = 5 * PRICE_CENT  # "within 5 cents of the best", the band of the depth features


class BookBroken(OperatingError):
    """Theirs, or a message that we missed: the book cannot be what was sent. `kind` is a short label for counting."""

    def __init__(self, market: Ticker, kind: str, detail: str) -> None:
        super().__init__(f"the book of {market} is broken ({kind}): {detail}; it needs a new snapshot")
        self.market = market
        self.kind = kind


class Leg:
    """The bids of one leg, in the leg's own prices. Read it freely; only its book writes it."""

    __slots__ = ("_largest", "_third", "counts", "prices", "total")

    def __init__(self) -> None:
        self.counts: dict[Price, Count] = {}  # every count is > 0
        self.prices: list[Price] = []  # the keys of `counts`, ascending: the best is last
        self.total: Count = 0  # the sum of `counts`
        self._largest: Count | None = 0  # the three largest counts together; None: to be summed again
        self._third: Count = 0  # the third largest when they were last summed: a smaller level cannot matter

    @property
    def best(self) -> Price | None:
        prices = self.prices
        return prices[-1] if prices else None

    @property
    def best_count(self) -> Count:
        """Contracts at the best price; 0 where there is none."""
        prices = self.prices
        return self.counts[prices[-1]] if prices else 0

    @property
    def near(self) -> Count:
        """Contracts within five cents of the best, the best included."""
        prices = self.prices
        if not prices:
            return 0
        counts = self.counts
        return sum(map(counts.__getitem__, prices[bisect_left(prices, prices[-1] - NEAR_BEST) :]))

    @property
    def largest_three(self) -> Count:
        """The three largest counts together (fewer where there are fewer levels)."""
        largest = self._largest
        if largest is None:
            top = sorted(self.counts.values())[-3:]
            largest = self._largest = sum(top)
            self._third = top[0] if len(top) == 3 else 0
        return largest

    def levels(self) -> list[tuple[Price, Count]]:
        """Ascending, best last, as a snapshot lists them."""
        return [(price, self.counts[price]) for price in self.prices]


class OrderBook:
    """Made empty and not `known`; the first snapshot makes it known."""

    __slots__ = (
        "best_ask",
        "best_bid",
        "clock",
        "contracts_changed",
        "crossed",
        "known",
        "market",
        "no",
        "ts_ms",
        "version",
        "yes",
    )

    def __init__(self, market: Ticker) -> None:
        self.market = market
        self.yes = Leg()
        self.no = Leg()
        self.known = False  # a snapshot was applied and nothing was refused or missed since
        self.version = 0  # messages applied: equal versions are equal books
        self.ts_ms: Milliseconds = 0  # the latest stamp of the exchange on a message applied; 0: none carried one
        self.clock: int | None = None  # the exchange's clock of this market; may go back across maintenance
        self.best_bid: Price | None = None  # of the YES leg, like everything of the book that is not of a leg
        self.best_ask: Price | None = None
        self.crossed = False  # bid >= ask: impossible in a book at rest, and what a flipped orientation looks like
        self.contracts_changed: Count = 0  # running sum of absolute changes, a new snapshot counted by its difference

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Raises BookBroken."""
        assert snapshot.market == self.market, f"{snapshot.market} was handed to the book of {self.market}"
        self.replace(snapshot.yes, snapshot.no, clock=snapshot.clock, ts_ms=snapshot.sending_ms)

    def replace(
        self,
        yes: Iterable[tuple[Price, Count]],
        no: Iterable[tuple[Price, Count]],
        *,
        clock: int | None,
        ts_ms: Milliseconds | None,
    ) -> None:
        """Every level anew, from a snapshot or a REST read, in whatever order. Raises BookBroken."""
        counts = self._read_levels(yes), self._read_levels(no)
        first = self.version == 0
        for leg, new in zip((self.yes, self.no), counts, strict=True):
            if not first:
                old = leg.counts
                self.contracts_changed += sum(abs(new.get(p, 0) - old.get(p, 0)) for p in new.keys() | old.keys())
            leg.counts = new
            leg.prices = sorted(new)
            leg.total = sum(new.values())
            leg._largest = None  # noqa: SLF001 - a leg is part of its book
        self._find_best()
        self.known = True
        self.version += 1
        self.clock = clock
        if ts_ms is not None and ts_ms > self.ts_ms:
            self.ts_ms = ts_ms

    def apply_delta(self, delta: BookDelta) -> None:
        """One signed change. Raises BookBroken. The hot path of the daemon: locals, and one dict look-up and store."""
        if not self.known:
            raise self._broken("no_snapshot", "a change came before a snapshot")
        leg = self.yes if delta.yes else self.no
        counts = leg.counts
        price = delta.price
        change = delta.change
        held = counts.get(price, 0)
        count = held + change
        if count > 0:
            counts[price] = count
            if not held:
                self._add_level(leg, price)
        elif count == 0:
            if held:
                self._drop_level(leg, price)
        else:
            raise self._broken(
                "negative_level",
                f"a change of {contracts(change)} on {contracts(held)} contracts at {cents(price)}",
            )
        leg.total += change
        third = leg._third  # noqa: SLF001 - a leg is part of its book
        if held >= third or count > third:
            leg._largest = None  # noqa: SLF001
        self.contracts_changed += change if change > 0 else -change
        self.version += 1
        self.clock = delta.clock
        ts_ms = delta.ts_ms
        if ts_ms > self.ts_ms:  # noqa: PLR1730 - max() costs three times as much
            self.ts_ms = ts_ms

    def forget(self) -> None:
        """Messages were missed: what stands here is not known any more, and only a snapshot mends it."""
        self.known = False

    # ------------------------------------------------------------------------------------------------- on the YES leg

    @property
    def bid_count(self) -> Count:
        return self.yes.best_count

    @property
    def ask_count(self) -> Count:
        return self.no.best_count

    def prove_uncrossed(self) -> None:
        """Raises BookBroken where the book is crossed, and holds it for not known."""
        bid, ask = self.best_bid, self.best_ask
        if bid is not None and ask is not None and bid >= ask:
            raise self._broken("crossed", f"bid {cents(bid)}, ask {cents(ask)}")

    def bids(self) -> list[tuple[Price, Count]]:
        """YES bids, best first."""
        counts = self.yes.counts
        return [(price, counts[price]) for price in reversed(self.yes.prices)]

    def asks(self) -> list[tuple[Price, Count]]:
        """YES offers, best first."""
        counts = self.no.counts
        return [(PRICE_ONE - price, counts[price]) for price in reversed(self.no.prices)]

    # -------------------------------------------------------------------------------------------------------- private

    def _add_level(self, leg: Leg, price: Price) -> None:
        if not 0 < price < PRICE_ONE:
            del leg.counts[price]
            raise self._broken("price", f"a level at {cents(price)}")
        prices = leg.prices
        insort(prices, price)
        if prices[-1] == price:
            self._find_best()

    def _drop_level(self, leg: Leg, price: Price) -> None:
        del leg.counts[price]
        prices = leg.prices
        index = bisect_left(prices, price)
        del prices[index]
        if index == len(prices):
            self._find_best()

    def _find_best(self) -> None:
        """After the end of a price list changed, which is seldom."""
        yes, no = self.yes.prices, self.no.prices
        self.best_bid = yes[-1] if yes else None
        self.best_ask = PRICE_ONE - no[-1] if no else None
        self.crossed = bool(yes) and bool(no) and yes[-1] + no[-1] >= PRICE_ONE

    def _read_levels(self, levels: Iterable[tuple[Price, Count]]) -> dict[Price, Count]:
        """A level without contracts is none; one below zero, outside the contract or sent twice is refused."""
        counts: dict[Price, Count] = {}
        for price, count in levels:
            if count < 0:
                raise self._broken("negative_level", f"{contracts(count)} contracts at {cents(price)} in a snapshot")
            if not 0 < price < PRICE_ONE:
                raise self._broken("price", f"a level at {cents(price)} in a snapshot")
            if price in counts:
                raise self._broken("level_twice", f"{cents(price)} twice in a snapshot")
            if count:
                counts[price] = count
        return counts

    def _broken(self, kind: str, detail: str) -> BookBroken:
        self.known = False
        return BookBroken(self.market, kind, detail)
