"""One member's stream: its subscriptions, what its commands are answered, and which events it is told (api.md 7).

No I/O: commands come in through `hear`, events of the exchange through `tell`, frames leave through the outlet. Rules:
- One sid per channel, numbered from 1. On sequenced channels every frame of a sid counts: snapshots, deltas, `ok`,
  `unsubscribed` and the errors about it.
- A snapshot is taken in the step in which it is numbered, so that the deltas after it fit it exactly.
- A frame that finds no room ends its subscription with error 25: nobody waits for a slow reader. Answers always find
  room, because no command is heard while there is none.
- Unknown tickers are no error: they give nothing until the market is created.
- Not spoken here: ticker, order groups, communications and outside prices; they are unknown channel names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from attrs import Factory, define

from kalshi_daemon.emulator import frames
from kalshi_daemon.emulator.bodies import Body
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.model import (
    BookView,
    Event,
    Filled,
    LevelChanged,
    MarketMoved,
    OrderUpdated,
    PositionChanged,
    Traded,
)
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.limits import STREAM_NAMES_MAX, SUBSCRIPTION_MARKETS_MAX
from kalshi_daemon.units import Milliseconds, Ticker

BOOK: Final = "orderbook_delta"
LIFECYCLE: Final = "market_lifecycle_v2"
SEQUENCED: Final = frozenset({BOOK, "trade", LIFECYCLE})
CHANNELS: Final = SEQUENCED | {"fill", "user_orders", "market_positions"}
ACTIONS: Final = ("add_markets", "delete_markets", "get_snapshot")
ERRORS: Final = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
}


class Outlet(Protocol):
    """Where frames go. `full` says that no more data may be added; answers may always."""

    @property
    def full(self) -> bool: ...
    def put(self, frame: str) -> None: ...


@define(eq=False)
class Subscription:
    """One channel of one stream. `markets` is None where it follows all; `seq` is that of the last frame.

    Invariant: `shown` holds the markets of `markets` whose book was sent; only they get deltas.
    """

    sid: int
    channel: str
    markets: dict[Ticker, None] | None
    use_yes_price: bool
    seq: int = 0
    shown: set[Ticker] = Factory(set)

    def follows(self, ticker: Ticker) -> bool:
        return self.markets is None or ticker in self.markets

    def add(self, tickers: list[Ticker] | None) -> list[Ticker]:
        """Follow these too, or all with None; returns those that are new."""
        if self.markets is None:
            return []
        if tickers is None:
            self.markets = None
            return []
        new = [ticker for ticker in dict.fromkeys(tickers) if ticker not in self.markets]
        self.markets.update(dict.fromkeys(new))
        return new

    def drop(self, tickers: list[Ticker]) -> None:
        for ticker in tickers:
            self.shown.discard(ticker)
            if self.markets is not None:
                self.markets.pop(ticker, None)


class CommandRefused(Exception):
    """One command, or one channel of it, is refused; `subscription` is the one that it was about, if any."""

    def __init__(self, code: int, subscription: Subscription | None = None) -> None:
        super().__init__(ERRORS[code])
        self.code = code
        self.subscription = subscription


class StreamSession:
    """The protocol of one connection, for the account `user_id`."""

    def __init__(
        self,
        exchange: Exchange,
        user_id: str,
        settings: ServerSettings,
        now_ms: Callable[[], Milliseconds],
        outlet: Outlet,
    ) -> None:
        self._exchange = exchange
        self._user_id = user_id
        self._settings = settings
        self._now_ms = now_ms
        self._outlet = outlet
        self._sids = 0
        self._subscriptions: dict[str, Subscription] = {}  # by channel

    # ---------------------------------------------------------------------------------------------------- commands

    def hear(self, text: str | None) -> None:
        """Answer one command; None stands for a message that is not text."""
        command = _decode(text)
        request_id = command.get("id", 0)
        if not _is_id(request_id):
            self._refuse(0, CommandRefused(11))
            return
        assert isinstance(request_id, int)
        try:
            self._obey(request_id, command)
        except CommandRefused as refused:
            self._refuse(request_id, refused)

    def _obey(self, request_id: int, command: dict[str, object]) -> None:
        if not command:
            raise CommandRefused(1)
        params = command.get("params")
        match command.get("cmd"):
            case "list_subscriptions":
                listed = [{"channel": one.channel, "sid": one.sid} for one in self._subscriptions.values()]
                self._answer("ok", request_id, None, listed)
            case "subscribe":
                self._subscribe(request_id, _object(params))
            case "unsubscribe":
                self._unsubscribe(request_id, _object(params))
            case "update_subscription":
                self._update(request_id, _object(params))
            case _:
                raise CommandRefused(5)

    def _subscribe(self, request_id: int, params: dict[str, object]) -> None:
        """Each channel is answered for itself; the snapshots follow all answers."""
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise CommandRefused(3)
        if len(channels) > STREAM_NAMES_MAX:
            raise CommandRefused(11)
        tickers = _tickers(params)
        use_yes_price = params.get("use_yes_price", False)
        if not isinstance(use_yes_price, bool):
            raise CommandRefused(11)
        new: list[Ticker] = []
        for channel in channels:
            try:
                new += self._join(request_id, channel, tickers, use_yes_price=use_yes_price)
            except CommandRefused as refused:
                self._refuse(request_id, refused)
        self._send_snapshots(new)

    def _join(
        self, request_id: int, channel: object, tickers: list[Ticker] | None, *, use_yes_price: bool
    ) -> list[Ticker]:
        """Open a channel, or widen it where it is open: then its first orientation stays. Returns books to show."""
        if not isinstance(channel, str) or channel not in CHANNELS:
            raise CommandRefused(8)
        if channel == BOOK and tickers is None:
            raise CommandRefused(14)
        wanted = None if channel == LIFECYCLE else tickers
        subscription = self._subscriptions.get(channel)
        known = subscription is not None
        if subscription is None:
            _check_size(None, tickers)
            self._sids += 1
            subscription = Subscription(self._sids, channel, {}, use_yes_price)
            self._subscriptions[channel] = subscription
        else:
            _check_size(subscription, tickers)
        new = subscription.add(wanted)
        if known:
            self._answer_markets(request_id, subscription)
        else:
            self._answer("subscribed", request_id, None, {"channel": channel, "sid": subscription.sid})
        return new if channel == BOOK else []

    def _unsubscribe(self, request_id: int, params: dict[str, object]) -> None:
        sids = params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise CommandRefused(4)
        if len(sids) > STREAM_NAMES_MAX:
            raise CommandRefused(11)
        for sid in sids:
            try:
                subscription = self._find(sid)
            except CommandRefused as refused:
                self._refuse(request_id, refused)
            else:
                del self._subscriptions[subscription.channel]
                self._answer("unsubscribed", request_id, subscription, None)

    def _update(self, request_id: int, params: dict[str, object]) -> None:
        sids = [params["sid"]] if "sid" in params else params.get("sids")
        if not isinstance(sids, list) or len(sids) != 1:
            raise CommandRefused(12)
        subscription = self._find(sids[0])
        action = params.get("action")
        if not action:
            raise CommandRefused(15, subscription)
        if action not in ACTIONS or subscription.channel == LIFECYCLE:
            raise CommandRefused(13, subscription)
        if action == "get_snapshot" and subscription.channel != BOOK:
            raise CommandRefused(13, subscription)
        tickers = _tickers(params, subscription)
        if tickers is None:
            raise CommandRefused(14, subscription)
        if action == "get_snapshot":
            self._send_snapshots(list(dict.fromkeys(tickers)), request_id)
        elif action == "add_markets":
            _check_size(subscription, tickers)
            new = subscription.add(tickers)
            self._answer_markets(request_id, subscription)
            if subscription.channel == BOOK:
                self._send_snapshots(new)
        else:
            subscription.drop(tickers)
            self._answer_markets(request_id, subscription)

    def _find(self, sid: object) -> Subscription:
        for subscription in self._subscriptions.values():
            if subscription.sid == sid and _is_id(sid):
                return subscription
        raise CommandRefused(7)

    # ------------------------------------------------------------------------------------------------------ events

    def tell(self, event: Event) -> None:
        """Pass on an event of the exchange to the channel that carries it, if it is open and follows the market."""
        match event:
            case LevelChanged():
                subscription = self._subscriptions.get(BOOK)
                if subscription is not None and event.market in subscription.shown:
                    market = self._exchange.markets[event.market]
                    oriented = subscription.use_yes_price
                    clock, own = self._settings.send_clock, event.account == self._user_id
                    msg = frames.delta_msg(event, market, use_yes_price=oriented, send_clock=clock, own=own)
                    self._send("orderbook_delta", subscription, msg)
            case Traded():
                self._pass("trade", "trade", event.trade.market, lambda: frames.trade_msg(event))
            case Filled() if event.account == self._user_id:
                self._pass("fill", "fill", event.fill.market, lambda: frames.fill_msg(event))
            case OrderUpdated() if event.account == self._user_id:
                self._pass("user_orders", "user_order", event.order.market, lambda: frames.user_order_msg(event))
            case PositionChanged() if event.account == self._user_id:
                market_ticker = event.position.market
                self._pass("market_positions", "market_position", market_ticker, lambda: frames.position_msg(event))
            case MarketMoved() if event.event:
                self._pass(LIFECYCLE, LIFECYCLE, event.market.ticker, lambda: frames.lifecycle_msg(event))
                if event.event == "created":
                    self._show_created(event.market.ticker)

    def _pass(self, channel: str, kind: str, ticker: Ticker, msg: Callable[[], Body]) -> None:
        subscription = self._subscriptions.get(channel)
        if subscription is not None and subscription.follows(ticker):
            self._send(kind, subscription, msg())

    def _show_created(self, ticker: Ticker) -> None:
        """A market that was followed before it existed: its book is empty, and its deltas can begin."""
        subscription = self._subscriptions.get(BOOK)
        if subscription is not None and subscription.follows(ticker):
            self._send_snapshot(BookView(ticker, (), (), 0))

    def _send_snapshots(self, tickers: list[Ticker], request_id: int = 0) -> None:
        """The books of the markets that exist. Each is read just before it is sent: reading lets time pass."""
        for ticker in tickers:
            if ticker in self._exchange.markets:
                self._send_snapshot(self._exchange.book(ticker), request_id)

    def _send_snapshot(self, book: BookView, request_id: int = 0) -> None:
        """One book; from then on its market gets deltas, if it is one of those followed."""
        subscription = self._subscriptions.get(BOOK)
        if subscription is None:  # it has just overflowed
            return
        if subscription.follows(book.market):
            subscription.shown.add(book.market)
        market, oriented = self._exchange.markets[book.market], subscription.use_yes_price
        msg = frames.snapshot_msg(book, market, use_yes_price=oriented, send_clock=self._settings.send_clock)
        self._send("orderbook_snapshot", subscription, msg, request_id)

    def _send(self, kind: str, subscription: Subscription, msg: Body, request_id: int = 0) -> None:
        """Data: where there is no room for it, its subscription is over."""
        if self._outlet.full:
            del self._subscriptions[subscription.channel]
            self._refuse(0, CommandRefused(25, subscription))
        else:
            self._answer(kind, request_id, subscription, msg)

    # ------------------------------------------------------------------------------------------------------ frames

    def _answer_markets(self, request_id: int, subscription: Subscription) -> None:
        """`ok` with all that is followed now; a subscription to everything names nothing."""
        self._answer("ok", request_id, subscription, {"market_tickers": sorted(subscription.markets or ())})

    def _refuse(self, request_id: int, refused: CommandRefused) -> None:
        msg = {"code": refused.code, "msg": ERRORS[refused.code]}
        self._answer("error", request_id, refused.subscription, msg)

    def _answer(self, kind: str, request_id: int, subscription: Subscription | None, msg: object) -> None:
        frame: Body = {"type": kind}
        if request_id:
            frame["id"] = request_id
        if subscription is not None:
            frame["sid"] = subscription.sid
            if subscription.channel in SEQUENCED:
                subscription.seq += 1
                frame["seq"] = subscription.seq
        if msg is not None:
            frame["msg"] = msg
        if self._settings.send_sending_ts:
            frame["sending_ts_ms"] = self._now_ms()
        self._outlet.put(msgspec.json.encode(frame).decode() + "\n")


def _decode(text: str | None) -> dict[str, object]:
    """The command; empty where there is none in the text."""
    try:
        command = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return command if isinstance(command, dict) else {}


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _object(params: object) -> dict[str, object]:
    if not isinstance(params, dict) or not params:
        raise CommandRefused(2)
    return params


def _tickers(params: dict[str, object], subscription: Subscription | None = None) -> list[Ticker] | None:
    """The markets that a command names, by one field or the other; None where it names none."""
    one, many = params.get("market_ticker"), params.get("market_tickers")
    tickers = ([] if one is None else [one]) + (many if isinstance(many, list) else [many] if many is not None else [])
    if not all(isinstance(ticker, str) and ticker for ticker in tickers):
        raise CommandRefused(11, subscription)
    return [str(ticker) for ticker in tickers] or None


def _check_size(subscription: Subscription | None, tickers: list[Ticker] | None) -> None:
    """Refuse more markets than one subscription may follow."""
    followed = 0 if subscription is None or subscription.markets is None else len(subscription.markets)
    if followed + len(tickers or ()) > SUBSCRIPTION_MARKETS_MAX:
        raise CommandRefused(26, subscription)
