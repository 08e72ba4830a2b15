"""The WebSocket's frames, to facts; and its commands, to text.

Rules: a frame is one fact or one `WireError`; nothing is dropped in silence. Deltas come by the hundred thousand, so
theirs is the short way. Prices of the NO side are NO prices: every subscribe to the order books says `use_yes_price:
false`, because the exchange will turn the default round one day; whoever applies the levels asserts the orientation by
the book not being crossed. Times of the exchange are `ts_ms`; `at_ms` is ours and is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import (
    BookDelta,
    BookSnapshot,
    EventFeesChanged,
    FillSeen,
    FrameIgnored,
    MarketChanged,
    MarketFact,
    OrderGroupReported,
    OrderGroupTold,
    OrderSeen,
    PositionReported,
    PriceRange,
    StreamAnswer,
    StreamRefused,
    Subscribed,
    SubscriptionsListed,
    SubscriptionUpdated,
    TradePrinted,
    Unsubscribed,
)
from kalshi_daemon.limits import FRAME_MAX
from kalshi_daemon.units import PRICE_ONE, SECOND_MS, Count, Milliseconds, Price, Ticker
from kalshi_daemon.wire import frames
from kalshi_daemon.wire.fees import event_fees
from kalshi_daemon.wire.fixed_point import (
    CHANGES,
    PRICES,
    bad_number,
    parse_change,
    parse_count,
    parse_money,
    parse_price,
    parse_quote,
)
from kalshi_daemon.wire.reading import MOMENT_MAX_S, wire_error
from kalshi_daemon.wire.sightings import fill_seen, order_seen

Decoded: TypeAlias = (
    MarketFact | StreamAnswer | FillSeen | OrderSeen | OrderGroupReported | PositionReported | FrameIgnored
)
Action: TypeAlias = Literal["add_markets", "delete_markets", "get_snapshot"]
Learn: TypeAlias = Callable[[Milliseconds, Milliseconds], None]
ORDERBOOK: Final = "orderbook_delta"
OTHER_SUBACCOUNT: Final = (
    "other_subaccount"  # the private channels tell of all of a member's, and ours is the primary one
)

_decode: Final = msgspec.json.Decoder(frames.Frame).decode
_Delta: Final = frames.Delta
_encode: Final = msgspec.json.Encoder().encode
_quote_of: Final = {text: price for text, price in PRICES.items() if 0 < price < PRICE_ONE}.get
_change_of: Final = CHANGES.get


def decode_frame(frame: bytes | str, at_ms: Milliseconds, learn: Learn | None = None) -> Decoded:
    """One text frame, to what it says. Raises `WireError` with a kind of `reading.KINDS`.

    `learn` is told when it was sent, where it says so, and `at_ms`.
    """
    if len(frame) > FRAME_MAX:
        raise WireError("oversized", f"a frame of {len(frame)} bytes; {FRAME_MAX} are allowed")
    try:
        read = _decode(frame)
    except (ValueError, RecursionError) as error:
        raise wire_error(error) from None
    if learn is not None and read.sending_ts_ms is not None:
        learn(read.sending_ts_ms, at_ms)
    if type(read) is _Delta:
        body = read.msg
        price = _quote_of(body.price_dollars)
        change = _change_of(body.delta_fp)
        return BookDelta(
            read.sid,
            read.seq,
            body.market_ticker,
            body.side == "yes",
            parse_quote(body.price_dollars) if price is None else price,
            parse_change(body.delta_fp) if change is None else change,
            body.ts_ms,
            body.clock,
        )
    return _READERS[type(read)](read, at_ms)


def read_levels(texts: Sequence[tuple[str, str]]) -> list[tuple[Price, Count]]:
    """`(price, count)` of one leg, in its own prices: ascending, no price twice, no level without a count."""
    levels = [(parse_quote(price), parse_count(count)) for price, count in texts]
    before = 0
    for price, count in levels:
        if price <= before:
            raise WireError("inconsistent", "the levels of a book do not ascend")
        if count == 0:
            raise bad_number("0", "the count of a level")
        before = price
    return levels


def read_ranges(ranges: Sequence[frames.RangeBody]) -> tuple[PriceRange, ...]:
    """A price grid: pieces that ascend, each with a step that is not zero."""
    read = tuple(PriceRange(parse_price(r.start), parse_price(r.end), parse_price(r.step)) for r in ranges)
    if not read or any(piece.step == 0 or piece.start >= piece.end for piece in read):
        raise WireError("inconsistent", "a price grid with an empty piece or a step of zero")
    return read


def _snapshot(read: frames.Snapshot, _at_ms: Milliseconds) -> BookSnapshot:
    """When it was sent only where that can be: every frame says it, and none is refused for it."""
    body = read.msg
    yes, no = read_levels(body.yes_dollars_fp), read_levels(body.no_dollars_fp)
    sending_ms = read.sending_ts_ms
    if sending_ms is not None and sending_ms > MOMENT_MAX_S * SECOND_MS:
        sending_ms = None
    return BookSnapshot(read.sid, read.seq, body.market_ticker, yes, no, body.clock, read.id, sending_ms)


def _trade(read: frames.Trade, _at_ms: Milliseconds) -> TradePrinted:
    body = read.msg
    return TradePrinted(read.sid, read.seq, body.market_ticker, parse_quote(body.yes_price_dollars))


def _lifecycle(read: frames.Lifecycle, _at_ms: Milliseconds) -> MarketChanged:
    body = read.msg
    return MarketChanged(
        read.sid,
        read.seq,
        body.market_ticker,
        body.event_type,
        None if body.close_ts is None else body.close_ts * SECOND_MS,
        body.result,
        None if body.settlement_value is None else parse_price(body.settlement_value),
        None if body.price_ranges is None else read_ranges(body.price_ranges),
    )


def _event_fees(read: frames.EventFeeUpdate, _at_ms: Milliseconds) -> EventFeesChanged:
    body = read.msg
    fees = event_fees(body.event_ticker, body.fee_type_override, body.fee_multiplier_override)
    return EventFeesChanged(read.sid, read.seq, fees)


def _fill(read: frames.Fill, at_ms: Milliseconds) -> FillSeen | FrameIgnored:
    body = read.msg
    if body.subaccount:
        return FrameIgnored(OTHER_SUBACCOUNT, read.sid, None)
    return fill_seen(
        body,
        at_ms,
        "stream",
        trade_id=body.trade_id,
        client_order_id=body.client_order_id,
        market=body.market_ticker,
        ts_ms=body.ts_ms,
    )


def _user_order(read: frames.UserOrder, at_ms: Milliseconds) -> OrderSeen | FrameIgnored:
    body = read.msg
    if body.subaccount_number:
        return FrameIgnored(OTHER_SUBACCOUNT, read.sid, None)
    updated_ms = body.created_ts_ms if body.last_updated_ts_ms is None else body.last_updated_ts_ms
    return order_seen(body, at_ms, "stream", updated_ms, body.expiration_ts_ms)


def _position(read: frames.MarketPosition, at_ms: Milliseconds) -> PositionReported | FrameIgnored:
    body = read.msg
    if body.subaccount:
        return FrameIgnored(OTHER_SUBACCOUNT, read.sid, None)
    return PositionReported(
        at_ms,
        body.market_ticker,
        parse_change(body.position_fp),
        parse_money(body.position_cost_dollars),
        parse_money(body.realized_pnl_dollars),
        parse_money(body.fees_paid_dollars),
    )


def _order_group(read: frames.OrderGroupUpdate, at_ms: Milliseconds) -> OrderGroupReported:
    body = read.msg
    limit = 0 if body.contracts_limit_fp is None else parse_count(body.contracts_limit_fp)
    told = OrderGroupTold(at_ms, "stream", body.order_group_id, body.event_type, body.ts_ms, limit)
    return OrderGroupReported(read.sid, read.seq, told)


def _subscribed(read: frames.SubscribedFrame, _at_ms: Milliseconds) -> Subscribed:
    return Subscribed(read.id, read.msg.channel, read.msg.sid)


def _ok(read: frames.Ok, _at_ms: Milliseconds) -> SubscriptionUpdated | SubscriptionsListed:
    if isinstance(read.msg, list):
        return SubscriptionsListed(read.id, tuple((entry.channel, entry.sid) for entry in read.msg))
    markets = () if read.msg is None else tuple(read.msg.market_tickers)
    return SubscriptionUpdated(read.id, read.sid, read.seq, markets)


def _unsubscribed(read: frames.UnsubscribedFrame, _at_ms: Milliseconds) -> Unsubscribed:
    return Unsubscribed(read.id, read.sid, read.seq)


def _refused(read: frames.ErrorFrame, _at_ms: Milliseconds) -> StreamRefused:
    return StreamRefused(read.id, read.sid, read.seq, read.msg.code, read.msg.msg)


def _ignored(read: frames.Unused, _at_ms: Milliseconds) -> FrameIgnored:
    return FrameIgnored(str(read.__struct_config__.tag), read.sid, read.seq)


_READERS: Final[dict[type, Callable[[Any, Milliseconds], Decoded]]] = {
    frames.Snapshot: _snapshot,
    frames.Trade: _trade,
    frames.Lifecycle: _lifecycle,
    frames.EventFeeUpdate: _event_fees,
    frames.Fill: _fill,
    frames.UserOrder: _user_order,
    frames.MarketPosition: _position,
    frames.SubscribedFrame: _subscribed,
    frames.Ok: _ok,
    frames.UnsubscribedFrame: _unsubscribed,
    frames.ErrorFrame: _refused,
    frames.Ticker: _ignored,
    frames.EventLifecycle: _ignored,
    frames.ComboLifecycle: _ignored,
    frames.OrderGroupUpdate: _order_group,
}


def subscribe(request_id: int, channels: Sequence[str], markets: Sequence[Ticker]) -> str:
    """Subscribe to `channels`; without `markets` for a channel that has no list of markets."""
    params: dict[str, object] = {"channels": list(channels)}
    if markets:
        params["market_tickers"] = list(markets)
    if ORDERBOOK in channels:
        params["use_yes_price"] = False
    return _command(request_id, "subscribe", params)


def update_subscription(request_id: int, sid: int, action: Action, markets: Sequence[Ticker]) -> str:
    return _command(request_id, "update_subscription", {"sid": sid, "action": action, "market_tickers": list(markets)})


def unsubscribe(request_id: int, sids: Sequence[int]) -> str:
    return _command(request_id, "unsubscribe", {"sids": list(sids)})


def list_subscriptions(request_id: int) -> str:
    return _command(request_id, "list_subscriptions", None)


def _command(request_id: int, cmd: str, params: dict[str, object] | None) -> str:
    assert request_id >= 1, "the exchange reads an id of 0 as no id"
    body = {"id": request_id, "cmd": cmd} | ({} if params is None else {"params": params})
    return _encode(body).decode()


def path_of(url: str) -> str:
    """The part of a WebSocket's address that is signed."""
    return urlsplit(url).path
