"""The REST answers that the daemon reads, to facts and to values of their own. Each takes the bytes of a 2xx body.

Rules: a body is read whole or is a `WireError` that names the field. What a status means is not decided here, see
`error_bodies`. Lists come in pages; a page is its items and the cursor of the next, empty on the last (api.md 4.6).
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec
from attrs import frozen

from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import FillSeen, MarketRead, OrderSeen, SettlementSeen
from kalshi_daemon.units import (
    CENT,
    PRICE_CENT,
    PRICE_ONE,
    SECOND_MS,
    Count,
    Milliseconds,
    Money,
    Price,
    Ticker,
)
from kalshi_daemon.wire import bodies
from kalshi_daemon.wire.feed import read_levels, read_ranges
from kalshi_daemon.wire.fixed_point import (
    parse_change,
    parse_count,
    parse_fee,
    parse_money,
    parse_price,
)
from kalshi_daemon.wire.reading import read, to_ms
from kalshi_daemon.wire.sightings import fill_seen, order_seen

T = TypeVar("T")


@frozen
class Page(Generic[T]):
    items: tuple[T, ...]
    cursor: str


@frozen
class ShardStatus:
    exchange_index: int
    description: str
    exchange_active: bool
    trading_active: bool


@frozen
class ExchangeStatus:
    """`shards` is empty where the exchange does not list them; the flags at the top are those of shard 0."""

    exchange_active: bool
    trading_active: bool
    resume_ms: Milliseconds | None
    shards: tuple[ShardStatus, ...]


@frozen
class Bucket:
    """A token bucket: tokens a second, and the most it holds."""

    refill: int
    capacity: int


@frozen
class AccountLimits:
    tier: str
    read: Bucket
    write: Bucket


@frozen
class EndpointCost:
    """`path` may hold variables, as `:order_id`."""

    method: str
    path: str
    cost: int


@frozen
class EndpointCosts:
    """What a request costs in tokens; `endpoints` are those that differ from the default."""

    default: int
    endpoints: tuple[EndpointCost, ...]


@frozen
class BookRead:
    """The bids of both legs, each in its own prices, ascending, best last."""

    market: Ticker
    yes: list[tuple[Price, Count]]
    no: list[tuple[Price, Count]]


@frozen
class BalanceRead:
    """`by_shard`: (exchange_index, cash). `portfolio_value`: the exchange's own mark of the positions, to the cent."""

    total: Money
    by_shard: tuple[tuple[int, Money], ...]
    portfolio_value: Money
    updated_ms: Milliseconds


@frozen
class PositionRead:
    """`count` is signed; `cost` is what the exchange calls exposure."""

    market: Ticker
    exchange_index: int
    count: Count
    cost: Money
    traded: Money
    realised: Money
    fees: Money
    updated_ms: Milliseconds


_status: Final = msgspec.json.Decoder(bodies.StatusAnswer)
_limits: Final = msgspec.json.Decoder(bodies.LimitsAnswer)
_costs: Final = msgspec.json.Decoder(bodies.CostsAnswer)
_keys: Final = msgspec.json.Decoder(bodies.KeysAnswer)
_key_list: Final = msgspec.json.Decoder(bodies.KeyListAnswer)
_as_of: Final = msgspec.json.Decoder(bodies.AsOfAnswer)
_cutoff: Final = msgspec.json.Decoder(bodies.CutoffAnswer)
_market: Final = msgspec.json.Decoder(bodies.MarketAnswer)
_markets: Final = msgspec.json.Decoder(bodies.MarketsAnswer)
_orderbooks: Final = msgspec.json.Decoder(bodies.OrderbooksAnswer)
_balance: Final = msgspec.json.Decoder(bodies.BalanceAnswer)
_positions: Final = msgspec.json.Decoder(bodies.PositionsAnswer)
_order: Final = msgspec.json.Decoder(bodies.OrderAnswer)
_orders: Final = msgspec.json.Decoder(bodies.OrdersAnswer)
_fills: Final = msgspec.json.Decoder(bodies.FillsAnswer)
_settlements: Final = msgspec.json.Decoder(bodies.SettlementsAnswer)


def read_exchange_status(body: bytes) -> ExchangeStatus:
    answer = read(_status, body)
    resume = answer.exchange_estimated_resume_time
    shards = tuple(
        ShardStatus(shard.exchange_index, shard.description, shard.exchange_active, shard.trading_active)
        for shard in answer.exchange_index_statuses
    )
    return ExchangeStatus(
        answer.exchange_active, answer.trading_active, None if resume is None else to_ms(resume), shards
    )


def read_account_limits(body: bytes) -> AccountLimits:
    answer = read(_limits, body)
    buckets = [Bucket(bucket.refill_rate, bucket.bucket_capacity) for bucket in (answer.read, answer.write)]
    return AccountLimits(answer.usage_tier, *buckets)


def read_endpoint_costs(body: bytes) -> EndpointCosts:
    answer = read(_costs, body)
    return EndpointCosts(
        answer.default_cost, tuple(EndpointCost(row.method, row.path, row.cost) for row in answer.endpoint_costs)
    )


def read_region_ends(body: bytes) -> Milliseconds | None:
    """When the location attested for the account's keys ends; None where none was attested."""
    ends_s = read(_keys, body).api_key_region_expiration_ts
    return None if ends_s is None else ends_s * SECOND_MS


def read_keys(body: bytes) -> dict[str, frozenset[str]]:
    """What each key of the member whose key asks may do: its scopes by its id."""
    return {key.api_key_id: frozenset(key.scopes) for key in read(_key_list, body).api_keys}


def read_as_of(body: bytes) -> Milliseconds:
    """How fresh the exchange's read models are."""
    return to_ms(read(_as_of, body).as_of_time)


def read_fills_cutoff(body: bytes) -> Milliseconds:
    """Fills from before it are in the archive, and in the archive alone."""
    return to_ms(read(_cutoff, body).trades_created_ts)


def read_market(body: bytes) -> MarketRead:
    return _to_market(read(_market, body).market)


def read_markets(body: bytes) -> Page[MarketRead]:
    answer = read(_markets, body)
    return Page(tuple(_to_market(market) for market in answer.markets), answer.cursor)


def read_orderbooks(body: bytes) -> dict[Ticker, BookRead]:
    return {
        book.ticker: BookRead(
            book.ticker, read_levels(book.orderbook_fp.yes_dollars), read_levels(book.orderbook_fp.no_dollars)
        )
        for book in read(_orderbooks, body).orderbooks
    }


def read_balance(body: bytes) -> BalanceRead:
    answer = read(_balance, body)
    return BalanceRead(
        parse_money(answer.balance_dollars),
        tuple((shard.exchange_index, parse_money(shard.balance)) for shard in answer.balance_breakdown),
        answer.portfolio_value * CENT,
        answer.updated_ts * SECOND_MS,
    )


def read_positions(body: bytes) -> Page[PositionRead]:
    answer = read(_positions, body)
    return Page(tuple(_to_position(position) for position in answer.market_positions), answer.cursor)


def read_order(body: bytes, at_ms: Milliseconds) -> OrderSeen:
    return _to_order(read(_order, body).order, at_ms)


def read_orders(body: bytes, at_ms: Milliseconds) -> Page[OrderSeen]:
    answer = read(_orders, body)
    return Page(tuple(_to_order(order, at_ms) for order in answer.orders), answer.cursor)


def read_fills(body: bytes, at_ms: Milliseconds) -> Page[FillSeen]:
    answer = read(_fills, body)
    return Page(tuple(_to_fill(fill, at_ms) for fill in answer.fills), answer.cursor)


def read_settlements(body: bytes, at_ms: Milliseconds) -> Page[SettlementSeen]:
    answer = read(_settlements, body)
    return Page(tuple(_to_settlement(settlement, at_ms) for settlement in answer.settlements), answer.cursor)


def _to_market(body: bodies.MarketBody) -> MarketRead:
    """A market does not name its series: that is the event's ticker up to the first dash."""
    value = body.settlement_value_dollars
    ask = parse_price(body.yes_ask_dollars) or PRICE_ONE  # unopened, a market shows 0 where it has no ask
    return MarketRead(
        market=body.ticker,
        event=body.event_ticker,
        series=body.event_ticker.partition("-")[0],
        status=body.status,
        open_ms=to_ms(body.open_time),
        close_ms=to_ms(body.close_time),
        price_ranges=read_ranges(body.price_ranges),
        exchange_index=body.exchange_index,
        result=body.result,
        settlement_value=None if value is None else parse_price(value),
        kind=body.market_type,
        volume_24h=parse_count(body.volume_24h_fp),
        spread=max(0, ask - parse_price(body.yes_bid_dollars)),
        waived_ms=None if body.fee_waiver_expiration_time is None else to_ms(body.fee_waiver_expiration_time),
    )


def _to_position(body: bodies.PositionBody) -> PositionRead:
    return PositionRead(
        body.ticker,
        body.exchange_index,
        parse_change(body.position_fp),
        parse_money(body.market_exposure_dollars),
        parse_money(body.total_traded_dollars),
        parse_money(body.realized_pnl_dollars),
        parse_money(body.fees_paid_dollars),
        to_ms(body.last_updated_ts),
    )


def _to_order(body: bodies.OrderBody, at_ms: Milliseconds) -> OrderSeen:
    updated = body.created_time if body.last_update_time is None else body.last_update_time
    updated_ms = None if updated is None else to_ms(updated)
    expires_ms = None if body.expiration_time is None else to_ms(body.expiration_time)
    return order_seen(body, at_ms, "read", updated_ms, expires_ms)


def _to_fill(body: bodies.FillBody, at_ms: Milliseconds) -> FillSeen:
    """REST does not say the client's id; `fill_id` is what the stream calls `trade_id`."""
    ts_ms = to_ms(body.created_time)
    return fill_seen(body, at_ms, "read", trade_id=body.fill_id, client_order_id="", market=body.ticker, ts_ms=ts_ms)


def _to_settlement(body: bodies.SettlementBody, at_ms: Milliseconds) -> SettlementSeen:
    return SettlementSeen(
        at_ms=at_ms,
        market=body.ticker,
        result=body.market_result,
        value=_settlement_value(body),
        count=parse_count(body.yes_count_fp) - parse_count(body.no_count_fp),
        revenue=body.revenue * CENT,
        fee=parse_fee(body.fee_cost),
        ts_ms=to_ms(body.settled_time),
        exchange_index=body.exchange_index,
    )


def _settlement_value(body: bodies.SettlementBody) -> Price:
    """What one YES contract paid: as it says, or as yes and no mean; a scalar has to say it."""
    if body.value is not None:
        if body.value * PRICE_CENT > PRICE_ONE:
            raise WireError("bad_number", f"{body.ticker} settled at {body.value} cents")
        return body.value * PRICE_CENT
    if body.market_result == "scalar":
        raise WireError("missing_field", f"the scalar settlement of {body.ticker} without its value")
    return PRICE_ONE if body.market_result == "yes" else 0
