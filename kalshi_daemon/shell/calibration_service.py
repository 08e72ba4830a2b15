"""Asks the exchange for the whole truth once and holds it against the ledger; the trading state is entered by its word.

One phase: every read side by side, missed facts folded, then cash, positions and orders compared. A difference is
looked at again after some quiet, since reads lag events; what stays is journaled and held by divergence, never
explained away. The first calibration of a journal opens the account: it takes the exchange's figures as what every
later fact is added to.

Rules:
- What moved while it was read, or so shortly before that the exchange's reads need not show it, is unsettled: not
  equal, and not different either. So is everything while the exchange's reads are old.
- Unsettled never agrees and never holds.
- A read settles no doubt that came after it began: what was doubted may have happened behind its back.
- Cash that no reading of the balance explains, the same in `UNEXPLAINED_LOOKS_MAX` quiet looks, is different.
- Where it never rests, a difference that lag does not explain, look after look, is one too (`core/steady_gaps.py`).
- Figures of a position that the exchange works out are told, counted and alarmed, and hold nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio
from attrs import evolve, frozen

from kalshi_daemon import limits
from kalshi_daemon.core.account_comparison import (
    DIFFERS,
    UNEXPLAINED,
    UNSETTLED,
    Difference,
    compare_cash,
    compare_positions,
    held,
)
from kalshi_daemon.core.figure_watch import FigureWatch
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.steady_gaps import SteadyGaps
from kalshi_daemon.errors import CommandRefused, ExchangeError, Unreachable
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountFact,
    AccountOpened,
    BalanceReading,
    BalanceReadingLearned,
    DayOpened,
    FeesRestated,
    FiguresBefore,
    HoldKind,
    OrderSpec,
    PositionOpening,
    SettlementSeen,
)
from kalshi_daemon.shell.account_reader import AccountRead, AccountReader
from kalshi_daemon.shell.clock import Clock, eastern_day
from kalshi_daemon.shell.drift_keeper import DriftKeeper
from kalshi_daemon.shell.last_audit import LastAudit
from kalshi_daemon.units import CENT, SECOND_MS, Count, Milliseconds, Money, Ticker
from statecharts.order import UNK

RESTING_AT_THE_OPENING: Final = (
    "orders rest, and whether the balance leaves their collateral out is not known: cancel them, or wait for their "
    "end; an account is opened when nothing rests"
)


@frozen
class Comparison:
    """One look: what differs though nothing moved for a while, and what cannot be judged yet."""

    found: tuple[Difference, ...]
    unsettled: tuple[str, ...]
    readings: tuple[BalanceReading, ...] = ()  # of the balance, those that this look leaves
    restated: tuple[Difference, ...] = ()  # figures of positions, which agree or not for themselves
    fees: tuple[FeesRestated, ...] = ()  # by what positions that rested are charged otherwise than was told

    @property
    def differences(self) -> tuple[str, ...]:
        return tuple(each.text for each in self.found)

    @property
    def agreed(self) -> bool:
        return not self.found and not self.unsettled


@frozen
class Standing:
    """What the ledger said when a read began: what is another when it has ended has moved meanwhile."""

    cash: dict[int, Money]
    positions: dict[Ticker, Count]
    orders: dict[str, tuple[str, Count, OrderSpec]]  # the live ones, with state, count filled and terms


class CalibrationService:
    def __init__(
        self,
        reader: AccountReader,
        ledger: Ledger,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
        worth: Callable[[], tuple[Money, tuple[Ticker, ...]]],
        alarm: Callable[[str, str], None],
    ) -> None:
        """`worth`: the portfolio's value, and the markets in it whose mid was carried."""
        self.rounds = 0
        self.agreements = 0
        self._unexplained: dict[str, int] = {}  # in how many quiet looks in a row, by text; one a shard at most
        self._moved_ms: dict[Ticker, Milliseconds] = {}  # when a position last changed, as far as this process saw it
        self._inherited_ms: Milliseconds = 0  # the last fill of the process before: of which market, nobody knows
        self._orders_moved_ms: Milliseconds = 0
        self._last = LastAudit()
        self._drift = DriftKeeper(ledger, clock, settle)
        self._gaps = SteadyGaps()
        self._figures = FigureWatch(ledger)
        self._alarm = alarm
        self._reader = reader
        self._ledger = ledger
        self._clock = clock
        self._settle = settle
        self._worth = worth

    @property
    def counts(self) -> Mapping[str, int]:
        """Figures of positions that differed and were told."""
        return self._figures.counts

    @property
    def detail(self) -> str:
        """Why the last look did not agree; empty when it did."""
        return self._last.detail

    @property
    def stuck(self) -> bool:
        """The same figures differ round after round: looking more often does not help."""
        return self._drift.stuck

    async def calibrate(self) -> str:
        """`agreed`, `incomplete` (a read was not to be had, or the account did not come to rest) or `differs`."""
        outcome = "incomplete"
        try:
            outcome = await self.converge()
        except* (ExchangeError, Unreachable):
            pass  # `detail` says which
        return outcome

    async def converge(self) -> str:
        """What `calibrate` does. Raises what a read may raise.

        For `differs` the hold is placed first: the same figures were seen twice in a row, with quiet before both, or
        there was a difference each time.
        """
        seen: tuple[str, ...] = ()
        differed, lasts = 0, False
        for turn in range(limits.CALIBRATION_ROUNDS_MAX):
            if turn:
                await trio.sleep(limits.CALIBRATION_QUIET_S)
            compared = await self.compare()
            if compared.agreed:
                return "agreed"
            differed += bool(compared.differences)
            lasts = bool(compared.differences) and compared.differences == seen
            if lasts:
                break
            seen = compared.differences
        else:
            if differed < limits.CALIBRATION_ROUNDS_MAX:
                return "incomplete"
        if lasts:
            found = compared.found
            paid: tuple[SettlementSeen, ...] = ()
            if all(each.what == "cash" for each in found):
                paid = await self._reader.paid_otherwise(below_a_cent=any(each.theirs % CENT for each in found))
            if await self._drift.corrected(found, compared.fees, paid):
                return "agreed" if (await self.compare()).agreed else "incomplete"
        await self._drift.hold(compared.found)
        return "differs"

    async def accept(self, by: str) -> str:
        """A person takes the exchange's figures for those that are held; what was done. Raises CommandRefused, also
        where the account cannot be read.
        """
        failure = ""
        try:
            compared = await self.compare()
        except* (ExchangeError, Unreachable) as errors:
            failure = str(errors.exceptions[0])
        if failure:
            raise CommandRefused(f"the account cannot be read now ({failure}): say it again when it can")
        return await self._drift.accept(compared.found, compared.unsettled, by)

    async def compare(self, *, settlements: bool = True) -> Comparison:
        """One round; where everything agrees, the agreement is settled in it. Raises what a read may raise.

        Without `settlements` they are not read, and what one has paid is a difference.
        """
        try:
            compared = await self._look(settlements=settlements)
        except* (ExchangeError, Unreachable) as errors:
            self._last.note(str(errors.exceptions[0]))
            raise
        self._last.note("; ".join((*compared.differences, *compared.unsettled)))
        return compared

    async def _look(self, *, settlements: bool) -> Comparison:
        if not self.rounds:
            self._inherited_ms = self._ledger.last_fill_ms
        self.rounds += 1
        before, doubts = self._standing(), self._ledger.doubts
        read = await self._reader.read(settlements=settlements)
        if not self._ledger.opened:
            if unready := self._unready(read):
                await self._reader.fold((), read.orders, (), read.as_of_ms)  # whose they are, is told
                return Comparison((), (unready,))
            await self._open(read)
            before = self._standing()
        await self._reader.fold(read.fills, read.orders, read.settlements, read.as_of_ms, read.archived)
        await self._ask_whose()
        compared = self._weigh(read, before)
        for each in compared.restated:
            await self._drift.tell(each)
            self._alarm("figures", each.text)
        return await self._agree(compared, read, doubts) if compared.agreed else compared

    async def _agree(self, compared: Comparison, read: AccountRead, doubts: int) -> Comparison:
        """Settles the agreement; unsettled where the account came into doubt since the read began."""
        self._drift.forget()
        cash, resting = read.balance.by_shard, len(self._ledger.live())
        positions = sum(1 for position in read.positions if position.count)
        if compared.readings != self._ledger.readings:
            await self._settle(BalanceReadingLearned(self._clock.now_ms(), compared.readings))
        await self._open_day()  # before anybody may trade on the agreement
        await self._settle(AccountAgreed(self._clock.now_ms(), read.as_of_ms, cash, positions, resting, doubts))
        if not self._ledger.account_agreed:
            return evolve(compared, unsettled=("the account came into doubt while it was read",))
        self.agreements += 1
        return compared

    async def _open_day(self) -> None:
        """The first agreement on a US Eastern day says what the limits of that day are shares of."""
        day = eastern_day(self._clock.exchange_now_ms())
        if day > self._ledger.day:
            await self._settle(DayOpened(self._clock.now_ms(), day, *self._worth()))

    def moved(self, market: Ticker, ts_ms: Milliseconds) -> None:
        """A fill or a settlement was booked: for a while reads of this market, and of cash, may be older than the
        ledger. `ts_ms` is the exchange's time.
        """
        self._moved_ms[market] = max(ts_ms, self._moved_ms.get(market, 0))
        self._gaps.note(("position", market), ts_ms, self._ledger.position(market))
        for shard, settled in self._ledger.shards.items():
            self._gaps.note(("cash", str(shard)), ts_ms, settled)

    def order_moved(self, ts_ms: Milliseconds) -> None:
        """An order of ours came to rest or went: for a while reads of cash may leave out another collateral."""
        self._orders_moved_ms = max(ts_ms, self._orders_moved_ms)

    # --------------------------------------------------------------------------------------------------- the comparison

    def _standing(self) -> Standing:
        ledger = self._ledger
        return Standing(
            cash=dict(ledger.shards),
            positions=held(ledger),
            orders={each.client_order_id: (each.state, each.filled, each.spec) for each in ledger.live()},
        )

    def _weigh(self, read: AccountRead, before: Standing) -> Comparison:
        found: list[Difference] = []
        unsettled: list[str] = []
        after = self._standing()
        if old := self._old(read):
            unsettled.append(old)
        stamps = (*self._moved_ms.values(), self._ledger.last_fill_ms)
        calm = before.cash == after.cash and _quiet(read, max(stamps))
        told_ms = max((order.updated_ms for order in self._ledger.live()), default=0)
        still = before.orders == after.orders and _quiet(read, max(self._orders_moved_ms, told_ms))
        cash = compare_cash(self._ledger, dict(read.balance.by_shard), calm=calm, still=still)
        unexplained = [each.text for each, verdict in cash.differences if verdict == UNEXPLAINED]
        self._unexplained = {text: self._unexplained.get(text, 0) + 1 for text in unexplained}
        differing = {each.subject for each, _verdict in cash.differences}
        for shard in read.balance.by_shard:
            if str(shard[0]) not in differing:
                self._gaps.forget(("cash", str(shard[0])))
        for difference, verdict in cash.differences:
            lasts = self._unexplained.get(difference.text, 0) >= limits.UNEXPLAINED_LOOKS_MAX
            rested = before.orders == after.orders
            if verdict == DIFFERS or lasts or (verdict == UNSETTLED and rested and self._steady(difference, read)):
                found.append(difference)
            else:
                unsettled.append(difference.text)
        moved, restated, fees = self._weigh_positions(read, before, after, found)
        unsettled += moved
        unsettled += [f"order {each.client_order_id} is unknown" for each in self._ledger.live() if each.state == UNK]
        return Comparison(tuple(found), tuple(unsettled), cash.readings, tuple(restated), tuple(fees))

    def _weigh_positions(
        self, read: AccountRead, before: Standing, after: Standing, found: list[Difference]
    ) -> tuple[list[str], list[Difference], list[FeesRestated]]:
        """Adds what differs to `found`; returns what is unsettled, the figures that differ, and what is charged
        otherwise.
        """
        shown = {each.market: (each.count, each.cost) for each in read.positions}
        differing = {each.subject: each for each in compare_positions(self._ledger, shown)}
        unsettled: list[str] = []
        restated: list[Difference] = []
        fees: list[FeesRestated] = []
        for market in sorted(shown.keys() | self._ledger.positions.keys()):
            difference = differing.get(market)
            rested = before.positions.get(market, 0) == after.positions.get(market, 0)
            rested = rested and _quiet(read, self._moved_ms.get(market, self._inherited_ms))
            if difference is None:
                self._gaps.forget(("position", market))
            elif rested or self._steady(difference, read):
                found.append(difference)
            else:
                unsettled.append(difference.text)
        for position in read.positions:
            moved_ms = self._moved_ms.get(position.market, self._inherited_ms)
            known = position.market in self._ledger.positions and position.market not in differing
            if known and _quiet(read, moved_ms):
                theirs = {"cost": position.cost, "realised": position.realised, "fees": position.fees}
                restated += self._figures.look(position.market, theirs)
                if change := self._ledger.fees_restated(position.market, position.fees):
                    fees.append(FeesRestated(self._clock.now_ms(), position.market, position.exchange_index, change))
        return unsettled, restated, fees

    def _steady(self, difference: Difference, read: AccountRead) -> bool:
        """Whether it differs by what lag has not explained for some looks. By how much has to be known."""
        if difference.change is None:
            return False
        figure, ours = (difference.what, difference.subject), difference.ours
        if difference.what == "cash":
            ours = self._ledger.settled(int(difference.subject))  # as it was noted: with what orders hold back
        return self._gaps.lasts(figure, ours, ours + difference.change, read.as_of_ms - limits.READS_LAG_MS)

    # ------------------------------------------------------------------------------------------------ what comes of it

    def _unready(self, read: AccountRead) -> str:
        """Why the account cannot be opened with what was read; empty where it can. What moved so shortly before that
        reads need not show it would be in the opening or not, and nobody could say which.
        """
        resting = sum(1 for order in read.orders if order.status == "resting")
        if resting:
            return f"{resting} {RESTING_AT_THE_OPENING}"
        news = [fill.ts_ms for fill in read.fills] + [paid.ts_ms for paid in read.settlements]
        moved = not _quiet(read, max([*news, self._ledger.last_fill_ms]))
        return self._old(read) or (
            "something was filled or paid a moment ago: an account is opened after" if moved else ""
        )

    def _old(self, read: AccountRead) -> str:
        behind_ms = self._clock.exchange_now_ms() - read.as_of_ms
        old = behind_ms > limits.READS_AGE_MAX_MS
        return f"the exchange's reads are {behind_ms // SECOND_MS} s old" if old else ""

    async def _open(self, read: AccountRead) -> None:
        openings = tuple(
            PositionOpening(position.market, position.count, position.cost, position.fees)
            for position in read.positions
            if position.count
        )
        before = tuple(
            FiguresBefore(each.market, each.realised, 0 if each.count else each.fees)
            for each in read.positions
            if each.realised or (each.fees and not each.count)
        )
        await self._settle(AccountOpened(self._clock.exchange_now_ms(), read.balance.by_shard, openings, before))

    async def _ask_whose(self) -> None:
        """What is not ours, and no person has let be, pauses us: also after a restart, which drops the hold.

        Where other things are there than it was placed for, it says which: they are what a person's word is for.
        """
        held, cause = self._ledger.find_hold(HoldKind.FOREIGN), self._ledger.foreign_cause()
        if cause and (held is None or held.cause != cause):
            await self._settle(hold(HoldKind.FOREIGN, cause, self._clock.now_ms()))


def _quiet(read: AccountRead, stamp_ms: Milliseconds) -> bool:
    """The read is as of so much later that it must show what happened then."""
    return read.as_of_ms - stamp_ms >= limits.QUIET_MS
