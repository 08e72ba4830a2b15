"""B1, frame to book: raw frame, decoded, sequence checked, applied, best bid and ask known, market dirty. Hot.

The reference, `json_and_dict`, is `json.loads`, decimal texts to integers and a dict per side, which keeps the best and
asks the dict's `max` only when the best goes. `json_and_dict_max` asks after each change, which is what one would write
first and is easier to beat; it is shown, and no goal is held against it. `book` is the decoder and the book, whose
aggregates are always kept; `book_and_window` notes the history behind the temporal features too. All end with the same
books.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, cast

from harness import Variant, compare, goal

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.wire.feed import decode_frame
from kalshi_daemon.wire.fixed_point import format_count, format_price

Levels = dict[int, int]
Books = dict[str, tuple[Levels, Levels]]  # market -> (YES, NO)
START_MS = 1_763_800_000_000
LEVELS = 100  # draws a side for the start, of
PRICES = 50  # prices below 50 cents
SLICES = 40  # of a round: the variants take turns so often
PER_MS = 10  # deltas of one millisecond: a burst of ten thousand a second


class Feed:
    """A seeded feed of one subscription: snapshots of all markets, then deltas, and the books that they lead to."""

    def __init__(self, markets: int, deltas: int, *, fine: bool, per_ms: int = PER_MS) -> None:
        self._rng = random.Random(1)
        self._per_ms = per_ms
        self._step = 10 if fine else 100  # 0.1 cents, or whole ones
        self._fine = fine
        self.final: Books = {f"KXBENCH-26NOV22-B{number}": ({}, {}) for number in range(markets)}
        self.snapshots = [self._snapshot(seq, market) for seq, market in enumerate(self.final, 1)]
        names = list(self.final)
        self.deltas = [self._delta(markets + 1 + at, self._rng.choice(names)) for at in range(deltas)]

    def _count(self) -> int:
        return self._rng.randrange(1, 50_000) if self._fine else self._rng.randrange(1, 500) * 100

    def _price(self) -> int:
        """Below 50 cents on both legs, so that no book crosses."""
        return 5_000 - self._rng.randrange(1, PRICES) * self._step

    def _snapshot(self, seq: int, market: str) -> bytes:
        for levels in self.final[market]:
            for _ in range(LEVELS):
                levels[self._price()] = self._count()
        sides = [
            [[format_price(p), format_count(c)] for p, c in sorted(levels.items())] for levels in self.final[market]
        ]
        body = {"market_ticker": market, "market_id": "9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1", "clock": seq}
        body |= {"yes_dollars_fp": sides[0], "no_dollars_fp": sides[1]}
        return json.dumps({"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": body}).encode()

    def _delta(self, seq: int, market: str) -> bytes:
        """Half of them change a level that stands, and a fifth of those take it away."""
        rng = self._rng
        yes = rng.random() < 0.5
        levels = self.final[market][0 if yes else 1]
        price = rng.choice(list(levels)) if levels and rng.random() < 0.5 else self._price()
        held = levels.get(price, 0)
        change = -held if held and rng.random() < 0.2 else self._count()
        levels[price] = held + change
        if not levels[price]:
            del levels[price]
        body = {
            "market_ticker": market,
            "market_id": "9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1",
            "clock": seq,
            "price_dollars": format_price(price),
            "delta_fp": format_count(change),
            "side": "yes" if yes else "no",
            "ts_ms": START_MS + seq // self._per_ms,
        }
        return json.dumps(
            {"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": body}, separators=(",", ":")
        ).encode()


def _units(text: str, decimals: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(decimals, "0"))


class Plain:
    """A reference; `tracks` keeps the best instead of asking for it after each change."""

    def __init__(self, feed: Feed, *, tracks: bool) -> None:
        self.tracks = tracks
        self.books: dict[str, dict[str, Levels]] = {}
        self.best: dict[str, dict[str, int]] = {}
        self.dirty: set[str] = set()
        self._seq = 0
        for frame in feed.snapshots:
            body = json.loads(frame)["msg"]
            self._seq += 1
            book = {
                side: {_units(price, 4): _units(count, 2) for price, count in body[f"{side}_dollars_fp"]}
                for side in ("yes", "no")
            }
            self.books[body["market_ticker"]] = book
            self.best[body["market_ticker"]] = {side: max(levels) for side, levels in book.items()}

    def run(self, frames: list[bytes]) -> None:
        for frame in frames:
            read = json.loads(frame)
            if read["type"] != "orderbook_delta":
                continue
            assert read["seq"] == self._seq + 1
            self._seq += 1
            body = read["msg"]
            market, side = body["market_ticker"], body["side"]
            levels, best = self.books[market][side], self.best[market]
            price = _units(body["price_dollars"], 4)
            count = levels.get(price, 0) + _units(body["delta_fp"], 2)
            if count:
                levels[price] = count
            else:
                del levels[price]
            if not self.tracks or (not count and price == best[side]):
                best[side] = max(levels, default=0)
            elif count and price > best[side]:
                best[side] = price
            self.dirty.add(market)

    def made(self) -> Books:
        return {market: (book["yes"], book["no"]) for market, book in self.books.items()}


class Bare:
    """The decoder and the book, and as little else as the figure asks for; with `window`, the histories too."""

    def __init__(self, feed: Feed, *, window: bool) -> None:
        self.books: dict[str, OrderBook] = {}
        self.histories: dict[str, MarketHistory] = {}
        self.dirty: dict[str, None] = {}
        self.window = window
        self._seq = len(feed.snapshots)
        for frame in feed.snapshots:
            snapshot = cast("BookSnapshot", decode_frame(frame, START_MS))
            book = self.books[snapshot.market] = OrderBook(snapshot.market)
            book.apply_snapshot(snapshot)
            self.histories[snapshot.market] = MarketHistory()

    def run(self, frames: list[bytes]) -> None:
        books, dirty, histories, seq, window = self.books, self.dirty, self.histories, self._seq, self.window
        for frame in frames:
            delta = decode_frame(frame, START_MS)
            assert type(delta) is BookDelta
            seq += 1
            assert delta.seq == seq
            book = books[delta.market]
            book.apply_delta(delta)
            assert book.best_bid is not None
            assert book.best_ask is not None
            if window:
                histories[delta.market].note(book, delta.ts_ms)
            dirty[delta.market] = None
        self._seq = seq

    def made(self) -> Books:
        return {market: (book.yes.counts, book.no.counts) for market, book in self.books.items()}


def _variant(name: str, feed: Feed, make: Callable[[Feed], Plain | Bare]) -> Variant:
    """Books are made before the clock starts, one set a round; the frames are the same bytes for all."""

    def work() -> Iterator[None]:
        one = make(feed)
        size = len(feed.deltas) // SLICES
        yield
        for start in range(0, len(feed.deltas), size):
            one.run(feed.deltas[start : start + size])
            yield
        assert len(one.dirty) == len(feed.final)
        assert one.made() == feed.final, f"{name} ends with other books than were fed"

    return Variant(name, len(feed.deltas), work)


def _measure(markets: int, deltas: int, *, fine: bool) -> dict[str, Any]:
    feed = Feed(markets, deltas, fine=fine)
    result = compare(
        [
            _variant("json_and_dict", feed, lambda each: Plain(each, tracks=True)),
            _variant("json_and_dict_max", feed, lambda each: Plain(each, tracks=False)),
            _variant("book", feed, lambda each: Bare(each, window=False)),
            _variant("book_and_window", feed, lambda each: Bare(each, window=True)),
        ]
    )
    return result.report()


def run(*, short: bool) -> dict[str, Any]:
    markets, deltas = (20, 4_000) if short else (100, 200_000)
    whole, fine = _measure(markets, deltas, fine=False), _measure(markets, deltas, fine=True)
    return {
        "what": f"frame to book, hot, {markets} markets, {deltas} deltas",
        "whole_cents": whole,
        "sub_cents": fine,
        "goals": {
            "book_ratio": goal(whole["book"]["ratio"], 3.0, least=True),
            "book_per_second": goal(whole["book"]["per_second"], 700_000, least=True),
            "window_ratio": goal(whole["book_and_window"]["ratio"], 2.2, least=True),
            "window_per_second": goal(whole["book_and_window"]["per_second"], 550_000, least=True),
            "sub_cent_ratio": goal(fine["book"]["ratio"], 1.5, least=True),
        },
    }
