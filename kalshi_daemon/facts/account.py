"""Facts of the account: runs, agreement with the exchange, holds, states, sweeps, alarms, what a person said."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from kalshi_daemon.facts.carried import AccountCarried
from kalshi_daemon.facts.orders import (
    CancelAllEnded,
    CancelAllSent,
    FillSeen,
    OrderFact,
    OrderGroupMade,
    OrderGroupTold,
)
from kalshi_daemon.units import Count, Milliseconds, Money, Price, Ticker


@frozen
class RunStarted:
    """A process began. Orders that were intended, submitted, being cancelled or amended become unknown."""

    at_ms: Milliseconds
    run_id: str
    version: str


@frozen
class SettlementSeen:
    """A market paid out: `count` contracts held (signed), `value` is the YES leg's worth, `revenue` what was credited.

    `fee` is the exchange's total of the fees paid on this market, which its fills have charged already: a check, not
    a charge."""

    at_ms: Milliseconds
    market: Ticker
    result: str
    value: Price
    count: Count
    revenue: Money
    fee: Money
    ts_ms: Milliseconds
    exchange_index: int


@frozen
class PositionOpening:
    market: Ticker
    count: Count
    cost: Money
    fees: Money


@frozen
class FiguresBefore:
    """What the exchange's figures of a position have from before this journal, and ours will never have."""

    market: Ticker
    realised: Money
    fees: Money


@frozen
class AccountOpened:
    """The account as the exchange showed it when this journal began: what every later fact is added to.

    `before`: of each position that has any; None in a journal that was begun before they were kept.
    """

    at_ms: Milliseconds
    settled: tuple[tuple[int, Money], ...]  # (exchange_index, cash)
    positions: tuple[PositionOpening, ...]
    before: tuple[FiguresBefore, ...] | None = None


@frozen
class AccountNamed:
    """The account has this key, of which the fingerprint of its id is kept (shell/account_identity.py)."""

    at_ms: Milliseconds
    environment: str
    key: str


@frozen
class AccountAgreed:
    """A complete read of the account equals the ledger; `as_of_ms` is the exchange's own time of what was read.

    `doubts`: how many there had been when the read began. It says nothing of one that came after; a journal written
    before doubts were counted says None.
    """

    at_ms: Milliseconds
    as_of_ms: Milliseconds
    settled: tuple[tuple[int, Money], ...]
    positions: int
    resting: int
    doubts: int | None = None


@frozen
class AccountDiffers:
    """A complete read of the account does not equal the ledger; each line names one thing, ours and theirs."""

    at_ms: Milliseconds
    differences: tuple[str, ...]


class BalanceReading(StrEnum):
    """What the exchange's balance may leave out of the cash while orders rest."""

    NOTHING = "nothing"
    OPENING = "opening"  # the collateral of orders that open, not of those that close what is held
    WHOLE = "whole"  # the collateral of every order


@frozen
class BalanceReadingLearned:
    """A read agreed with the ledger while the readings gave different balances: these are left, for every later one."""

    at_ms: Milliseconds
    readings: tuple[BalanceReading, ...]


@frozen
class AccountDoubted:
    """The account agreed before and may not any more: private events may have been missed."""

    at_ms: Milliseconds
    cause: str


@frozen
class DayOpened:
    """A new US Eastern day, and what the account was worth when it first agreed on it: the bankroll of its limits.

    `carried`: the markets held that had no mid at that moment, and were valued at their last one.
    """

    at_ms: Milliseconds
    day: str  # as `2026-11-22`
    bankroll: Money
    carried: tuple[Ticker, ...] = ()


@frozen
class CashCorrected:
    at_ms: Milliseconds
    exchange_index: int
    change: Money
    cause: str


@frozen
class PositionCorrected:
    """A person took the exchange's word for a position: what is added to its count and to its cost. Cash is apart."""

    at_ms: Milliseconds
    market: Ticker
    change: Count
    cost_change: Money
    cause: str


@frozen
class SettlementRestated:
    """The exchange lists a settlement that was booked with another payout, and the cash is different by as much."""

    at_ms: Milliseconds
    settlement: SettlementSeen


@frozen
class FeesRestated:
    """The exchange charges `change` more for a market's fills than it told with them, and the cash is so much less."""

    at_ms: Milliseconds
    market: Ticker
    exchange_index: int
    change: Money


@frozen
class ModelReplaced:
    """The policy's model was read again while it traded. Both are SHA-256 of the files; `by`: who said so, and why."""

    at_ms: Milliseconds
    before: str
    now: str
    by: str


class DriftCause(StrEnum):
    """What a difference is likely to be, from what else differs."""

    TRANSFER = "transfer"  # between shards: it adds up to nothing
    DEPOSIT = "deposit"  # or a withdrawal: no position moved
    RESTATED_FEE = "restated_fee"  # of cash: the fees of positions differ by as much
    RESTATED_SETTLEMENT = "restated_settlement"  # of cash: what was paid for settled markets does
    MISSED_FILL = "missed_fill"
    MISSED_SETTLEMENT = "missed_settlement"
    RESTATED = "restated"  # a figure that the exchange works out: no cash and no contract is missing by it alone
    UNKNOWN = "unknown"


@frozen
class DriftSeen:
    """A figure of the account differs and stays so. `what`: cash of the shard `subject`, position in that market, or
    cost, realised or fees of it. `source` is what told it: a read, or the stream of the account.
    """

    at_ms: Milliseconds
    what: str
    subject: str
    ours: int
    theirs: int
    cause: DriftCause
    source: str = "read"  # or "stream"


@frozen
class ForeignAdopted:
    """A person took these as the account's own: orders by the exchange's id, and the positions of these markets."""

    at_ms: Milliseconds
    orders: tuple[str, ...]
    markets: tuple[Ticker, ...]
    by: str


@frozen
class ForeignIgnored:
    """A person let these be, until the next run: they stay not ours."""

    at_ms: Milliseconds
    orders: tuple[str, ...]
    markets: tuple[Ticker, ...]
    by: str


class HoldKind(StrEnum):
    """Why we are paused, strongest first (statecharts.md, Holds)."""

    KILL = "kill"
    DIVERGENCE = "divergence"
    DRAWDOWN = "drawdown"
    DAY_LOSS = "day_loss"
    ACCESS = "access"
    FOREIGN = "foreign"
    GUARD = "guard"
    OPERATOR = "operator"
    EXCHANGE = "exchange"
    SYNC = "sync"
    RECOVERY = "recovery"


class RestrictionKind(StrEnum):
    """Why only reductions pass."""

    CASH_RESERVE = "cash_reserve"
    DRAWDOWN_BAND = "drawdown_band"
    PRIVATE_POLLED = "private_polled"
    POLLED_BOOKS = "polled_books"


@frozen
class HoldPlaced:
    """`subject` is what it is about: empty for the account, a ticker for one market. Placed again: the cause changes,
    not the since.

    `cancels`: "all", "increasing" or "" (resting orders stay)."""

    at_ms: Milliseconds
    hold: HoldKind
    subject: str
    cause: str
    cleared_by: str
    cancels: str
    until_ms: Milliseconds | None


@frozen
class HoldLifted:
    at_ms: Milliseconds
    hold: HoldKind
    subject: str
    by: str


@frozen
class RestrictionPlaced:
    at_ms: Milliseconds
    restriction: RestrictionKind
    cause: str


@frozen
class RestrictionLifted:
    at_ms: Milliseconds
    restriction: RestrictionKind
    by: str


@frozen
class StateChanged:
    """A chart took a step. Paths are dotted; `entered` is the new innermost state."""

    at_ms: Milliseconds
    chart: str
    left: str
    entered: str
    event: str


@frozen
class OperatorSpoke:
    """A person's command, with who and why."""

    at_ms: Milliseconds
    command: str
    who: str
    why: str


@frozen
class SweepVerified:
    """Two complete lists, read while nothing of ours was on the wire, hold nothing that had to go."""

    at_ms: Milliseconds
    scope: str  # "all" or "increasing"


@frozen
class SweepUnverified:
    at_ms: Milliseconds
    scope: str
    orders: tuple[str, ...]  # client order ids that may still rest


@frozen
class Alarmed:
    """Somebody should look. Also an ERROR line and a metric."""

    at_ms: Milliseconds
    alarm: str
    text: str


AccountFact: TypeAlias = (
    RunStarted
    | OrderFact
    | FillSeen
    | CancelAllSent
    | CancelAllEnded
    | OrderGroupMade
    | OrderGroupTold
    | SettlementSeen
    | AccountOpened
    | AccountCarried
    | AccountNamed
    | AccountAgreed
    | AccountDiffers
    | BalanceReadingLearned
    | AccountDoubted
    | DayOpened
    | CashCorrected
    | PositionCorrected
    | FeesRestated
    | SettlementRestated
    | ModelReplaced
    | DriftSeen
    | ForeignAdopted
    | ForeignIgnored
    | HoldPlaced
    | HoldLifted
    | RestrictionPlaced
    | RestrictionLifted
    | StateChanged
    | OperatorSpoke
    | SweepVerified
    | SweepUnverified
    | Alarmed
)
