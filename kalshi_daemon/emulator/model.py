"""The values of the emulated exchange: what a market, an order, a fill, a settlement are.

Rules: prices are of the YES leg unless a field says otherwise; all values are frozen; words that the wire shows
(statuses, reasons) are the exchange's own.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from kalshi_daemon.facts import PriceRange
from kalshi_daemon.units import (
    FEE_GRAIN,
    BookSide,
    Count,
    FeeType,
    Milliseconds,
    Money,
    Price,
    Ticker,
    TimeInForce,
)


class SelfTradePrevention(StrEnum):
    """What happens when an order meets one of its own account: the arriving one stops, or the resting one goes."""

    TAKER_AT_CROSS = "taker_at_cross"
    MAKER = "maker"


class MarketStatus(StrEnum):
    """The response vocabulary of `status`."""

    INITIALIZED = "initialized"
    INACTIVE = "inactive"
    ACTIVE = "active"
    CLOSED = "closed"
    DETERMINED = "determined"
    DISPUTED = "disputed"
    AMENDED = "amended"
    FINALIZED = "finalized"


class MarketType(StrEnum):
    """A scalar market is made to settle anywhere between 0 and 1."""

    BINARY = "binary"
    SCALAR = "scalar"


class OrderStatus(StrEnum):
    RESTING = "resting"
    CANCELED = "canceled"
    EXECUTED = "executed"


class UpdateReason(StrEnum):
    """`last_update_reason` of user_order. NONE: the member's own doing (placed, cancelled, rest of an IOC), not
    shown.
    """

    NONE = ""
    TRADE = "Trade"
    SELF_TRADE_CANCEL = "SelfTradeCancel"
    EXPIRY_CANCEL = "ExpiryCancel"
    CLOSE_CANCEL = "CloseCancel"
    HALT_CANCEL = "HaltCancel"
    AMEND = "Amend"
    DECREASE = "Decrease"
    POST_ONLY_CROSS_CANCEL = "PostOnlyCrossCancel"
    REDUCE_ONLY_CANCEL = "ReduceOnlyCancel"
    MARGIN_CANCEL = "MarginCancel"  # of perpetual futures: nothing here cancels for it
    SETTLEMENT_BOUNDS_CANCEL = "SettlementBoundsCancel"


# ------------------------------------------------------------------------------------------------------------ settings


@frozen
class ExchangeSettings:
    """What of the exchange's behaviour is undocumented, or differs between members.

    `balance_excludes_collateral`: whether the balance shown already leaves out what resting orders hold.
    `balance_grain`: what balance changes are floored to; direct members $0.0001, others $0.01.
    `exchange_indexes`: the shards; the first column of balances.
    `weekly_pause`: whether trading pauses on Thursdays from 03:00 to 05:00 in New York.
    `places_crossing_post_only`, `places_unfillable_fok`: such an order is answered as placed (201, 0 filled and 0
    remaining) and cancelled at once, instead of refused; the exchange has been seen to do either.
    `cancel_all_lasts_ms`: orders that come to rest so soon after a cancel-all are cancelled too; the exchange reserves
    itself a minute.
    """

    balance_excludes_collateral: bool = True
    balance_grain: Money = FEE_GRAIN
    exchange_indexes: tuple[int, ...] = (0,)
    weekly_pause: bool = False
    places_crossing_post_only: bool = False
    places_unfillable_fok: bool = False
    cancel_all_lasts_ms: Milliseconds = 0


# ------------------------------------------------------------------------------------------------------------- markets


@frozen
class Series:
    """A series and its fee schedule; the multiplier is in millionths."""

    ticker: Ticker
    title: str
    category: str
    fee_type: FeeType
    multiplier_ppm: int
    exchange_index: int = 0
    invented: bool = False


@frozen
class EventTerms:
    """An event; the overrides, where they are set, take the place of its series' fees."""

    ticker: Ticker
    series: Ticker
    title: str
    exchange_index: int
    fee_type: FeeType | None = None
    multiplier_ppm: int | None = None


@frozen
class FeeChange:
    """A change of a series' fees, or with `event` of that event's own; there None leaves a field to the series."""

    change_id: str
    series: Ticker
    event: Ticker
    fee_type: FeeType | None
    multiplier_ppm: int | None
    scheduled_ms: Milliseconds


@frozen
class Market:
    """One market: its terms, and where it stands in its life. Replaced, never changed.

    `planned_result`, if set, is what it is determined as, `determination_delay_ms` after its close, without anybody
    asking; `planned_value` goes with "scalar". `floor`: the YES leg settles at it or above. `settlement_timer_ms`
    passes between determination and payment. Until `fee_waiver_ms` it charges nothing (assumed: the exchange only
    names the time). `invented`: terms that no exchange ever published.
    """

    ticker: Ticker
    event: Ticker
    series: Ticker
    title: str
    yes_subtitle: str
    no_subtitle: str
    rules: str
    price_level_structure: str
    price_ranges: tuple[PriceRange, ...]
    created_ms: Milliseconds
    updated_ms: Milliseconds
    open_ms: Milliseconds
    close_ms: Milliseconds
    settlement_timer_ms: Milliseconds
    exchange_index: int = 0
    can_close_early: bool = True
    market_type: MarketType = MarketType.BINARY
    floor: Price | None = None
    planned_result: str = ""
    planned_value: Price | None = None
    determination_delay_ms: Milliseconds = 0
    market_id: str = ""  # a UUID; the exchange gives one to a market that comes without
    status: MarketStatus = MarketStatus.INITIALIZED
    result: str = ""  # "", "yes", "no" or "scalar"
    settlement_value: Price | None = None  # of the YES leg, once determined
    determined_ms: Milliseconds | None = None
    settled_ms: Milliseconds | None = None
    fee_waiver_ms: Milliseconds | None = None
    invented: bool = False


@frozen
class MarketFigures:
    """What trading did to a market so far. `last_price` is None before the first trade."""

    best_bid: Price | None
    best_bid_count: Count
    best_ask: Price | None
    best_ask_count: Count
    last_price: Price | None
    last_count: Count
    volume: Count
    open_interest: Count
    dollar_volume: Money


@frozen
class DayFigures:
    """What was traded of a market within a day, and how it stood a day ago: 0 where it did not stand yet."""

    volume: Count = 0
    price: Price = 0
    bid: Price = 0
    ask: Price = 0


@frozen
class BookView:
    """All levels of one market: `(price, count)` in each leg's own prices, ascending, best last, as the wire has
    them.
    """

    market: Ticker
    yes: tuple[tuple[Price, Count], ...]
    no: tuple[tuple[Price, Count], ...]
    clock: int


# -------------------------------------------------------------------------------------------------------------- orders


@frozen
class NewOrder:
    """What a member asks for. `exchange_index` None or -1: routed by the ticker."""

    market: Ticker
    side: BookSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.TAKER_AT_CROSS
    client_order_id: str = ""
    expires_s: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_on_pause: bool = False
    exchange_index: int | None = None
    order_group_id: str = ""


@frozen
class Placed:
    """The answer to a create. Averages are None without fills; `average_fee` is per contract."""

    order_id: str
    client_order_id: str
    filled: Count
    remaining: Count
    average_price: Price | None
    average_fee: Money | None
    ts_ms: Milliseconds


@frozen
class Cancelled:
    """The answer to a cancel or a decrease; `remaining` is what still rests."""

    order_id: str
    client_order_id: str
    reduced_by: Count
    ts_ms: Milliseconds
    remaining: Count = 0


@frozen
class Order:
    """An order as it stood at one moment. Fill costs are in the prices of the leg that the order is on (an ask: NO
    dollars).
    """

    order_id: str
    client_order_id: str
    user_id: str
    market: Ticker
    side: BookSide
    price: Price
    status: OrderStatus
    initial: Count
    filled: Count
    remaining: Count
    taker_cost: Money
    maker_cost: Money
    taker_fees: Money
    maker_fees: Money
    time_in_force: TimeInForce
    self_trade_prevention: SelfTradePrevention
    cancel_on_pause: bool
    expires_ms: Milliseconds | None
    created_ms: Milliseconds
    updated_ms: Milliseconds
    reason: UpdateReason
    exchange_index: int
    subaccount: int = 0
    group_id: str = ""


@frozen
class Fill:
    """One execution of one account's order. The two sides of a trade share `trade_id`."""

    trade_id: str
    order_id: str
    client_order_id: str
    market: Ticker
    side: BookSide
    price: Price
    count: Count
    fee: Money
    is_taker: bool
    ts_ms: Milliseconds
    exchange_index: int
    subaccount: int = 0


@frozen
class Trade:
    """A public print."""

    trade_id: str
    market: Ticker
    price: Price
    count: Count
    taker_side: BookSide
    ts_ms: Milliseconds


@frozen
class PositionRecord:
    """One account's standing in one market. `count` is signed; `cost` is what the held side cost, without fees.

    `traded` is all that was ever spent on opening, `volume` all contracts ever traded; `open_fees` the fees of what
    is held.
    """

    market: Ticker
    event: Ticker
    count: Count
    cost: Money
    realised: Money
    fees: Money
    open_fees: Money
    traded: Money
    volume: Count
    updated_ms: Milliseconds
    exchange_index: int
    settled: bool
    subaccount: int = 0


@frozen
class Settlement:
    """A market paid out to one account. `revenue` is what was credited; `fees` all fees that the position ever
    cost.
    """

    market: Ticker
    event: Ticker
    result: str
    value: Price
    yes_count: Count
    yes_cost: Money
    no_count: Count
    no_cost: Money
    revenue: Money
    fees: Money
    ts_ms: Milliseconds
    exchange_index: int
    subaccount: int = 0


@frozen
class Balance:
    """`shown` is the balance as the exchange shows it under the setting; `cash` is what is owned, `collateral` what
    rests.
    """

    subaccount: int
    shown: tuple[tuple[int, Money], ...]  # (exchange_index, balance)
    cash: tuple[tuple[int, Money], ...]
    collateral: tuple[tuple[int, Money], ...]
    values: tuple[tuple[int, Money], ...]  # of the positions
    updated_ms: Milliseconds

    @property
    def portfolio_value(self) -> Money:
        return sum(value for _index, value in self.values)
