"""Which events of the exchange one stream is told, on which channel (api.md 7.3 and 7.4).

Rules:
- A snapshot is taken in the step in which it is numbered, so that the deltas after it fit it exactly; a market gets
  deltas only once its book was shown.
- Private events go to the account that they are about, and to nobody else; a key that is locked to a subaccount hears
  of no other.
- Markets of multivariate events have a lifecycle channel of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kalshi_daemon.emulator import events, frames
from kalshi_daemon.emulator.bodies import Body
from kalshi_daemon.emulator.channels import BOOK, GROUPS, LIFECYCLE, MULTIVARIATE, TICKER
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.keyring import Reader
from kalshi_daemon.emulator.model import BookView
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.subscriptions import Selection, Subscriptions
from kalshi_daemon.units import Milliseconds, Ticker

COMBO: Final = "KXMVE"  # how the ticker of every multivariate event and market begins
NOT_OF_COMBOS: Final = frozenset({"price_level_structure_updated", "metadata_updated"})  # no words of their channel


class StreamEvents:
    """The data side of one stream."""

    def __init__(
        self,
        exchange: Exchange,
        reader: Reader,
        settings: ServerSettings,
        now_ms: Callable[[], Milliseconds],
        subscriptions: Subscriptions,
    ) -> None:
        self._exchange = exchange
        self._reader = reader
        self._settings = settings
        self._now_ms = now_ms
        self._subscriptions = subscriptions

    def tell(self, event: events.Event) -> None:
        """Pass on an event to the channel that carries it, if it is open and follows the market."""
        match event:
            case events.LevelChanged():
                self._tell_level(event)
            case events.TickerChanged():
                self._tell_ticker(event)
            case events.Traded():
                self._pass("trade", "trade", event.trade.market, lambda: frames.trade_msg(event))
            case events.MarketMoved():
                self._tell_market(event)
            case events.EventListed():
                channel = _lifecycle_of(event.event.ticker)
                self._pass(channel, "event_lifecycle", "", lambda: frames.event_lifecycle_msg(event))
            case events.EventFeesChanged():
                self._pass(LIFECYCLE, "event_fee_update", "", lambda: frames.event_fee_msg(event))
            case _:
                self._tell_private(event)

    def _tell_private(self, event: events.Event) -> None:
        match event:
            case events.Filled() if self._reader.sees(event.account, event.fill.subaccount):
                self._pass("fill", "fill", event.fill.market, lambda: frames.fill_msg(event))
            case events.OrderUpdated() if self._reader.sees(event.account, event.order.subaccount):
                self._pass("user_orders", "user_order", event.order.market, lambda: frames.user_order_msg(event))
            case events.PositionChanged() if self._reader.sees(event.account, event.position.subaccount):
                market = event.position.market
                self._pass("market_positions", "market_position", market, lambda: frames.position_msg(event))
            case events.OrderGroupUpdated() if self._reader.sees(event.account_id, event.subaccount):
                self._pass(GROUPS, GROUPS, "", lambda: frames.order_group_msg(event))

    def _pass(self, channel: str, kind: str, name: str, msg: Callable[[], Body]) -> None:
        subscription = self._subscriptions.get(channel)
        if subscription is not None and subscription.follows(name):
            self._subscriptions.send(kind, subscription, msg())

    def _tell_level(self, event: events.LevelChanged) -> None:
        subscription = self._subscriptions.get(BOOK)
        if subscription is None or event.market not in subscription.shown:
            return
        msg = frames.delta_msg(
            event,
            self._exchange.markets[event.market],
            use_yes_price=subscription.use_yes_price,
            send_clock=self._settings.send_clock,
            own=self._reader.sees(event.account, event.subaccount),
        )
        self._subscriptions.send("orderbook_delta", subscription, msg)

    def _tell_ticker(self, event: events.TickerChanged) -> None:
        subscription = self._subscriptions.get(TICKER)
        market = self._exchange.markets[event.market]
        if subscription is not None and subscription.follows(event.market, market.market_id):
            self._subscriptions.send("ticker", subscription, frames.ticker_msg(market, event.figures, event.ts_ms))

    def _tell_market(self, event: events.MarketMoved) -> None:
        ticker = event.market.ticker
        channel = _lifecycle_of(ticker)
        is_combo = channel == MULTIVARIATE
        if not event.event or (is_combo and event.event in NOT_OF_COMBOS):
            return
        self._pass(channel, channel, ticker, lambda: frames.lifecycle_msg(event, is_combo=is_combo))
        if event.event == "created":
            self._show_created(ticker)

    def _show_created(self, ticker: Ticker) -> None:
        """A market that was followed before it existed: its book is empty, and its deltas can begin."""
        subscription = self._subscriptions.get(BOOK)
        if subscription is not None and subscription.follows(ticker):
            self._show_book(BookView(ticker, (), (), 0))

    def show_books(self, tickers: tuple[Ticker, ...], request_id: int = 0) -> None:
        """The books of the markets that exist. Each is read just before it is sent: reading lets time pass."""
        for ticker in tickers:
            if ticker in self._exchange.markets:
                self._show_book(self._exchange.book(ticker), request_id)

    def _show_book(self, book: BookView, request_id: int = 0) -> None:
        """One book; from then on its market gets deltas, if it is one of those followed."""
        subscription = self._subscriptions.get(BOOK)
        if subscription is None:  # it has just overflowed
            return
        if subscription.follows(book.market):
            subscription.shown.add(book.market)
        market, oriented = self._exchange.markets[book.market], subscription.use_yes_price
        msg = frames.snapshot_msg(book, market, use_yes_price=oriented, send_clock=self._settings.send_clock)
        self._subscriptions.send("orderbook_snapshot", subscription, msg, request_id)

    def show_tickers(self, wanted: Selection) -> None:
        """How the markets that a command names stand now."""
        named = set(wanted.names)
        ids = set(wanted.market_ids)
        for market in list(self._exchange.markets.values()):
            if market.ticker in named or market.market_id in ids:
                figures = self._exchange.figures(market.ticker)
                subscription = self._subscriptions.get(TICKER)
                if subscription is not None:
                    msg = frames.ticker_msg(market, figures, self._now_ms())
                    self._subscriptions.send("ticker", subscription, msg)


def _lifecycle_of(ticker: Ticker) -> str:
    return MULTIVARIATE if ticker.startswith(COMBO) else LIFECYCLE
