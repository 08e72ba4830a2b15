"""The status: everything that a person, a scrape or a live view is shown of a daemon, as one frozen value.

Rules: plain values only, so that it crosses the control socket as JSON and comes back the same. Money, counts and
prices are in the units of `units.py`. Nothing here is read again: a status is of one moment, `at_ms`.
"""

from __future__ import annotations

from attrs import frozen

from kalshi_daemon.core.degradation import Degradation
from kalshi_daemon.core.exchange_hours import Pause
from kalshi_daemon.core.health_monitor import ChartState, Health
from kalshi_daemon.core.holds import Hold, Restriction
from kalshi_daemon.core.rate_governor import RateStatus
from kalshi_daemon.core.session_figures import SessionFigures
from kalshi_daemon.core.startup import StartupStep
from kalshi_daemon.shell.feeds import FeedStatus
from kalshi_daemon.units import BookSide, Count, Milliseconds, Money, Price, Ticker


@frozen
class HistoryLine:
    """One state that was entered: since when, through which event, and how long it lasted (None: it lasts)."""

    label: str
    state: str
    since_ms: Milliseconds
    cause: str
    lasted_ms: Milliseconds | None


@frozen
class BreakerStatus:
    name: str
    state: str
    cause: str
    since_ms: Milliseconds | None
    probe_in_ms: Milliseconds | None
    failures: int  # that it was told since it was made


@frozen
class OrderStatus:
    client_order_id: str
    market: Ticker
    side: BookSide
    price: Price
    count: Count
    filled: Count
    state: str
    ours: bool
    since_ms: Milliseconds


@frozen
class FillStatus:
    at_ms: Milliseconds
    market: Ticker
    side: BookSide
    price: Price
    count: Count
    fee: Money
    realised: Money
    is_taker: bool
    client_order_id: str  # empty while its order is not known
    decision: int  # the number of the policy's decision; 0: not the policy's, or not known


@frozen
class PositionStatus:
    """`average_cost` is per contract of the side held; `unrealised` is at the mid, and `unrealised_conservative` at the
    best price at which it could be closed; None where there is none.
    """

    market: Ticker
    count: Count
    average_cost: Price
    cost: Money
    mid: Price | None
    unrealised: Money | None
    unrealised_conservative: Money | None
    realised: Money
    fees: Money


@frozen
class RefusalStatus:
    at_ms: Milliseconds
    market: Ticker
    code: str
    control: str
    figure: str
    limit: str


@frozen
class AlarmStatus:
    at_ms: Milliseconds
    alarm: str
    text: str


@frozen
class MarketStatus:
    """One market that is known: `state` is the exchange's word, `why` and `text` say why it is in or out."""

    market: Ticker
    state: str
    wanted: bool
    leaving: bool
    why: str
    text: str
    since_ms: Milliseconds
    closes_ms: Milliseconds


@frozen
class CashStatus:
    """`available` leaves the reserve threshold out: what increases may spend."""

    settled: Money
    reserved: Money
    available: Money


@frozen
class ProfitStatus:
    """`unrealised` sums what has a mid, `unrealised_conservative` what could be closed; `unmarked` counts the positions
    that lack either.
    """

    realised: Money
    unrealised: Money
    unrealised_conservative: Money
    fees: Money
    unmarked: int


@frozen
class ActorStatus:
    """What the policy is at. `doing`: waiting, deciding or acting; where it is not running, what it was at when it
    ended. `held_back`: markets with news that were decided, or met the order rate, too short a time ago. The last
    batch: `batch_ms`, by our clock (None before the first), of `batch_markets`, with so many orders proposed.
    """

    doing: str
    held_back: int
    batch_ms: Milliseconds | None = None
    batch_markets: int = 0
    batch_proposals: int = 0
    inference_us: int = 0


@frozen
class Activity:
    """What has been counted since the process began: by name, and in `labelled` by name and label."""

    counters: dict[str, int]
    labelled: dict[str, dict[str, int]]
    gauges: dict[str, int]


@frozen
class Status:
    at_ms: Milliseconds
    started_ms: Milliseconds
    version: str
    environment: str
    run_id: str
    model: str
    charts: tuple[ChartState, ...]  # the trader first
    cause: str  # the event through which the trader came into its state
    holds: tuple[Hold, ...]  # strongest first
    restrictions: tuple[Restriction, ...]
    degradations: tuple[Degradation, ...]  # what is worse than it should be, one of a kind, whatever the states are
    feeds: tuple[FeedStatus, ...]
    feeds_usable: bool
    markets: dict[str, int]  # how many are in or out, by why
    markets_unread: dict[str, str]  # what of the markets could not be read when it was last tried -> why
    pause: Pause | None  # of the exchange, known ahead: the next, or the one that lasts
    breakers: tuple[BreakerStatus, ...]
    rates: tuple[RateStatus, ...]
    account_agreed: bool
    last_divergence: str
    audit_detail: str  # why the last look at the whole account did not agree, also where an earlier one did
    orders: tuple[OrderStatus, ...]  # those that are not over
    session: SessionFigures  # of this run
    last_fills: tuple[FillStatus, ...]  # newest first, of earlier runs too
    last_refusal: RefusalStatus | None
    last_alarms: tuple[AlarmStatus, ...]  # newest first
    cash: CashStatus
    positions: tuple[PositionStatus, ...]
    profit: ProfitStatus
    startup: tuple[StartupStep, ...]
    health: Health
    actor: ActorStatus | None  # None until the policy is loaded
    history: tuple[HistoryLine, ...]  # the trader's, oldest first
    activity: Activity

    @property
    def trader(self) -> ChartState:
        return self.charts[0]
