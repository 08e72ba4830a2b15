"""Which session carries which market: they are spread, so that one gap costs a bounded number of books.

Rules: a session carries at most `size` markets. As few sessions as hold them are used, evenly; a market stays where it
is for as long as it is wanted, because moving it would cost its book. The first session is always there.
"""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_daemon.units import Ticker


class MarketSpread:
    def __init__(self, size: int) -> None:
        assert size > 0, "a session carries something"
        self._size = size
        self._shares: list[dict[Ticker, None]] = [{}]

    @property
    def shares(self) -> tuple[tuple[Ticker, ...], ...]:
        """The markets of each session, in the order in which they came. Sessions that are not needed have none."""
        return tuple(tuple(share) for share in self._shares)

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others."""
        wanted = dict.fromkeys(markets)
        for share in self._shares:
            for market in share.keys() - wanted.keys():
                del share[market]
        needed = -(-len(wanted) // self._size)
        while len(self._shares) < needed:
            self._shares.append({})
        placed = set().union(*self._shares)
        for market in wanted:
            if market not in placed:
                min(self._shares[: max(1, needed)], key=len)[market] = None
