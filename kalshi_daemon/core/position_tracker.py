"""What is held: one signed count a market, its cost, its realised profit, and the fees beside it.

How a fill moves the cash, on the YES leg (money.md, api.md 3.1 and 3.4), before its fee:

| fill | flat or on the same side | against the position |
|---|---|---|
| bid at p | pays p: buys YES | receives 1 - p: closes NO |
| ask at p | pays 1 - p: opens NO | receives p: sells YES |

Rules: a fill that crosses zero is split in two. Cost is kept as a sum, not as an average, so nothing is lost to
rounding: what a partial close leaves behind and what it takes away add up to what was there. Fees never enter cost
or profit. A fill that is told late is folded where it was made (`recent_fills.py`), for as long as neither a payout nor
a person's correction came in between. A settled market is flat; a fill that arrives after its settlement moves cash
and profit as it did at the exchange, where it met the position that the settlement then closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import evolve, frozen

from kalshi_daemon.core.recent_fills import RecentFills
from kalshi_daemon.facts import FillSeen, PositionCarried, PositionCorrected, PositionOpening, SettlementSeen
from kalshi_daemon.limits import FILLS_SORTED_MAX
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Money, Price, Ticker


@frozen
class Position:
    """`cost` is what the contracts held now were bought for, on the side held; `realised` leaves fees out."""

    market: Ticker
    count: Count
    cost: Money
    realised: Money
    fees: Money


@frozen
class Booked:
    """What booking one fill did: the cash it moved before its fee, and the profit it realised.

    `in_order`: its place among the fills of its market is known."""

    cash: Money
    realised: Money
    in_order: bool = True


def side_price(side: BookSide, price: Price) -> Price:
    """What a contract costs that is opened on `side` at the YES price `price`."""
    return price if side is BookSide.BID else PRICE_ONE - price


def held_price(count: Count, price: Price) -> Price:
    """What a contract of the side held is worth at the YES price `price`."""
    return price if count >= 0 else PRICE_ONE - price


def worth(count: Count, price: Price) -> Money:
    """A position's value at one YES price; long at the bid and short at the ask is the conservative one."""
    return abs(count) * held_price(count, price)


def unrealised(position: Position, price: Price) -> Money:
    """Profit if the position were closed at the YES price `price`, before fees."""
    return worth(position.count, price) - position.cost


def booked(position: Position, side: BookSide, price: Price, count: Count) -> tuple[Position, Booked]:
    """The position after a fill, and what the fill did. The fee is not part of it."""
    held = position.count
    closes = min(count, abs(held)) if held * side.sign < 0 else 0
    opens = count - closes
    received = closes * held_price(held, price)
    released = position.cost * closes // abs(held) if closes else 0
    paid = opens * side_price(side, price)
    realised = received - released
    after = Position(
        market=position.market,
        count=held + side.sign * count,
        cost=position.cost - released + paid,
        realised=position.realised + realised,
        fees=position.fees,
    )
    return after, Booked(cash=received - paid, realised=realised)


class PositionTracker:
    """All positions, and for every settled market the count at which it was closed."""

    def __init__(self, sorted_max: int = FILLS_SORTED_MAX) -> None:
        self._positions: dict[Ticker, Position] = {}
        self._recent: dict[Ticker, RecentFills] = {}
        self._before: dict[Ticker, Position] = {}  # what the recent fills of the market were added to
        self._sorted_max = sorted_max
        # market -> what we held when it settled, walked on by fills that arrive late
        self._settled: dict[Ticker, Count] = {}
        self._paid: dict[Ticker, Money] = {}  # and what was credited for it, where that was told
        self.positions: Mapping[Ticker, Position] = MappingProxyType(self._positions)

    def count(self, market: Ticker) -> Count:
        position = self._positions.get(market)
        return 0 if position is None else position.count

    @property
    def cost(self) -> Money:
        """Of all that is held."""
        return sum(position.cost for position in self._positions.values())

    def is_settled(self, market: Ticker) -> bool:
        return market in self._settled

    def open(self, openings: tuple[PositionOpening, ...]) -> None:
        """The positions the account had when the journal began; what was folded before is part of them."""
        for memory in (self._positions, self._recent, self._before):
            memory.clear()
        for opening in openings:
            self._positions[opening.market] = Position(
                market=opening.market, count=opening.count, cost=opening.cost, realised=0, fees=opening.fees
            )

    def paid(self, market: Ticker) -> tuple[Count, Money] | None:
        """What was held when the market settled, and credited for it; None where that is not known."""
        return (self._settled[market], self._paid[market]) if market in self._paid else None

    @property
    def revenues(self) -> tuple[tuple[Ticker, Money], ...]:
        """What was credited for settled markets."""
        return tuple(self._paid.items())

    def carried(self) -> tuple[tuple[PositionCarried, ...], tuple[tuple[Ticker, Count], ...]]:
        """All positions, and the settled markets, for the journal after this one."""
        stamps = {market: recent.newest_ms for market, recent in self._recent.items()}
        positions = tuple(
            PositionCarried(each.market, each.count, each.cost, each.realised, each.fees, stamps.get(each.market, 0))
            for each in self._positions.values()
        )
        return positions, tuple(self._settled.items())

    def take_up(
        self,
        positions: tuple[PositionCarried, ...],
        settled: tuple[tuple[Ticker, Count], ...],
        revenues: tuple[tuple[Ticker, Money], ...],
    ) -> None:
        """The positions of the journal before. A fill that was made before their last is told late from now on."""
        for each in positions:
            self._positions[each.market] = Position(each.market, each.count, each.cost, each.realised, each.fees)
            if each.last_ms:
                self._recent[each.market] = RecentFills(gone_ms=each.last_ms)
        self._settled.update(settled)
        self._paid.update(revenues)

    def book(self, fill: FillSeen) -> Booked:
        """Books one fill; telling duplicates is the caller's business."""
        market = fill.market
        position = self._positions.get(market) or Position(market, count=0, cost=0, realised=0, fees=0)
        if market in self._settled:
            ghost = evolve(position, count=self._settled[market])
            moved = booked(ghost, fill.side, fill.price, fill.count)[1]
            self._settled[market] += fill.side.sign * fill.count
            after = evolve(position, realised=position.realised + moved.cash)
            moved = Booked(cash=moved.cash, realised=moved.cash)
        else:
            after, moved = self._placed(position, fill)
        self._positions[market] = evolve(after, fees=after.fees + fill.fee)
        return moved

    def _placed(self, position: Position, fill: FillSeen) -> tuple[Position, Booked]:
        """The position with the fill where it was made, and what that changes."""
        recent = self._recent.setdefault(fill.market, RecentFills())
        before = self._before.setdefault(fill.market, position)
        in_order = fill.ts_ms >= recent.gone_ms
        if recent.add(fill):
            after = before
            for each in recent.kept:
                after = booked(after, each.side, each.price, each.count)[0]
            after = evolve(after, fees=position.fees)
        else:
            after = booked(position, fill.side, fill.price, fill.count)[0]
        if len(recent.kept) > self._sorted_max:
            oldest = recent.drop_oldest()
            self._before[fill.market] = booked(before, oldest.side, oldest.price, oldest.count)[0]
        realised = after.realised - position.realised
        return after, Booked(realised - (after.cost - position.cost), realised, in_order)

    def settle(self, fact: SettlementSeen) -> Booked | None:
        """Closes a market for what the exchange credited; None when it was settled before: once a market."""
        if fact.market in self._settled:
            return None
        position = self._positions.get(fact.market)
        self._recent.pop(fact.market, None)
        self._before.pop(fact.market, None)
        self._settled[fact.market] = 0 if position is None else position.count
        if position is None:
            if not fact.revenue:
                return Booked(cash=0, realised=0)
            position = Position(fact.market, count=0, cost=0, realised=0, fees=0)
        self._paid[fact.market] = fact.revenue
        realised = fact.revenue - position.cost
        self._positions[fact.market] = evolve(position, count=0, cost=0, realised=position.realised + realised)
        return Booked(cash=fact.revenue, realised=realised)

    def settle_again(self, fact: SettlementSeen) -> Booked | None:
        """Another payout for a market that was closed; None where it was not, or what was paid is not known."""
        if fact.market not in self._paid:
            return None
        change = fact.revenue - self._paid[fact.market]
        position = self._positions[fact.market]
        self._paid[fact.market] = fact.revenue
        self._positions[fact.market] = evolve(position, realised=position.realised + change)
        return Booked(cash=change, realised=change)

    def correct(self, fact: PositionCorrected) -> None:
        """The exchange's word instead of ours; no profit was made by it that anybody knows of."""
        market = fact.market
        position = self._positions.get(market) or Position(market, count=0, cost=0, realised=0, fees=0)
        self._positions[market] = evolve(
            position, count=position.count + fact.change, cost=position.cost + fact.cost_change
        )
        self._before.pop(market, None)
        if market in self._recent:
            self._recent[market].drop_all()

    def restate_fees(self, market: Ticker, change: Money) -> None:
        position = self._positions.get(market) or Position(market, count=0, cost=0, realised=0, fees=0)
        self._positions[market] = evolve(position, fees=position.fees + change)

    def state(self) -> dict[str, object]:
        """Everything that is remembered, for the ledger's snapshot."""
        recent = {market: (each.gone_ms, each.kept) for market, each in self._recent.items()}
        return {
            "positions": self._positions,
            "settled": self._settled,
            "paid": self._paid,
            "recent": recent,
            "before": self._before,
        }
