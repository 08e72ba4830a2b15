"""One member's stream: its commands and what they are answered (api.md 7.1).

No I/O: commands come in through `hear`, events of the exchange through `tell`, frames leave through the outlet. Rules:
- Each channel of a subscribe is answered for itself; subscribing again widens, and the first flags stay.
- A command is obeyed at once, or under `command_delay_ms` after a time of its own: then answers come out of order.
- Unknown tickers are no error: they give nothing until the market is created.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from kalshi_daemon.emulator import stream_params as read
from kalshi_daemon.emulator.bodies import Body
from kalshi_daemon.emulator.bounds import STREAM_DELAYED_MAX, STREAM_NAMES_MAX
from kalshi_daemon.emulator.buckets import TokenBucket
from kalshi_daemon.emulator.channels import (
    BOOK,
    CHANNEL_ERROR,
    CHANNELS,
    COMMUNICATIONS,
    EVERYTHING,
    MARKETS,
    OUTSIDE,
    TICKER,
)
from kalshi_daemon.emulator.events import Event
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faults import COMMAND_REFUSED, Fault
from kalshi_daemon.emulator.keyring import READ, Reader
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.stream_events import StreamEvents
from kalshi_daemon.emulator.stream_params import Params
from kalshi_daemon.emulator.subscriptions import CommandRefused, Outlet, Selection, Subscription, Subscriptions
from kalshi_daemon.units import Milliseconds


class StreamSession:
    """The protocol of one connection."""

    def __init__(
        self,
        exchange: Exchange,
        reader: Reader,
        settings: ServerSettings,
        now_ms: Callable[[], Milliseconds],
        outlet: Outlet,
        faults: FaultSchedule,
        clock_ms: Callable[[], Milliseconds],
    ) -> None:
        """`clock_ms`: the time as the exchange believes it, for what it says of itself."""
        self._key = reader.key
        self._settings = settings
        self._now_ms = now_ms
        self._faults = faults
        self._subscriptions = Subscriptions(settings, clock_ms, outlet)
        self._events = StreamEvents(exchange, reader, settings, now_ms, self._subscriptions)
        self._commands = TokenBucket(settings.commands_per_s, settings.commands_per_s, now_ms())
        self._delayed: list[tuple[Milliseconds, int, str | None]] = []
        self._heard = 0

    def tell(self, event: Event) -> None:
        """Pass on an event of the exchange."""
        self._events.tell(event)

    def fail(self, channel: str) -> bool:
        """Channel error 10: its subscription, if it is open, is over. Returns whether it was."""
        subscription = self._subscriptions.get(channel)
        if subscription is not None:
            self._subscriptions.end(subscription, CHANNEL_ERROR)
        return subscription is not None

    # ---------------------------------------------------------------------------------------------------- commands

    def hear(self, text: str | None) -> None:
        """Take one command, now or later; None stands for a message that is not text."""
        delay_ms = self._settings.command_delay_ms
        if not delay_ms or len(self._delayed) >= STREAM_DELAYED_MAX:
            self._answer(text)
            return
        self._heard += 1
        heapq.heappush(self._delayed, (self._now_ms() + self._faults.rng.randint(0, delay_ms), self._heard, text))

    def advance(self) -> None:
        """Obey the delayed commands whose time has come."""
        while self._delayed and self._delayed[0][0] <= self._now_ms():
            self._answer(heapq.heappop(self._delayed)[2])

    def _answer(self, text: str | None) -> None:
        command = read.decode(text)
        request_id = 0
        try:
            request_id = read.request_id(command)
            refused = self._faults.bite(COMMAND_REFUSED, lambda fault: _is_meant(fault, command))
            if refused:
                raise CommandRefused(refused.code)  # noqa: TRY301 - answered like any other
            if not self._commands.take(1, self._now_ms()):
                raise CommandRefused(27)  # noqa: TRY301
            self._obey(request_id, command)
        except CommandRefused as error:
            self._subscriptions.refuse(request_id, error)

    def _obey(self, request_id: int, command: Params) -> None:
        if not command:
            raise CommandRefused(1)
        match command.get("cmd"):
            case "list_subscriptions":
                listed = [{"channel": one.channel, "sid": one.sid} for one in self._subscriptions]
                self._subscriptions.answer("ok", request_id, None, listed)
            case "subscribe":
                self._subscribe(request_id, read.params_of(command))
            case "unsubscribe":
                self._unsubscribe(request_id, read.params_of(command))
            case "update_subscription":
                self._update(request_id, read.params_of(command))
            case _:
                raise CommandRefused(5)

    def _subscribe(self, request_id: int, params: Params) -> None:
        """Each channel is answered for itself; what it shows at first follows all answers."""
        channels = read.listed(params, "channels", 3, STREAM_NAMES_MAX)
        for name in ("use_yes_price", "skip_ticker_ack", "send_initial_snapshot"):
            read.flag(params, name)
        opened: list[tuple[str, Selection]] = []
        for channel in channels:
            try:
                opened.append(self._join(request_id, channel, params))
            except CommandRefused as refused:
                self._subscriptions.refuse(request_id, refused)
        for name, new in opened:
            if name == BOOK:
                self._events.show_books(new.names)
            elif name == TICKER and params.get("send_initial_snapshot"):
                self._events.show_tickers(new)

    def _join(self, request_id: int, channel: object, params: Params) -> tuple[str, Selection]:
        """Open a channel, or widen it where it is open: then its first flags stay. Returns what it shows at first."""
        if not isinstance(channel, str) or channel not in CHANNELS:
            raise CommandRefused(8)
        if CHANNELS[channel].private and not self._key.grants(READ):
            raise CommandRefused(9)
        wanted = _wanted(channel, params)
        if channel == BOOK and not wanted:
            raise CommandRefused(14)
        if channel == COMMUNICATIONS:
            read.check_communications(params)
        known = self._subscriptions.get(channel)
        self._check_size(known, wanted)
        subscription = known or self._subscriptions.open(
            channel,
            use_yes_price=read.flag(params, "use_yes_price", unsaid=self._settings.yes_prices),
            skips_list=read.flag(params, "skip_ticker_ack"),
        )
        new = subscription.add(wanted)
        if EVERYTHING in wanted.names or (not wanted and subscription.kind.names not in OUTSIDE):
            subscription.names = None
        if known is not None:
            self._answer_names(request_id, subscription)
        else:
            msg = {"channel": channel, "sid": subscription.sid}
            self._subscriptions.answer("subscribed", request_id, None, msg)
        return channel, Selection(tuple(new)) if channel == BOOK else wanted

    def _unsubscribe(self, request_id: int, params: Params) -> None:
        for sid in read.listed(params, "sids", 4, STREAM_NAMES_MAX):
            try:
                subscription = self._subscriptions.with_sid(sid)
            except CommandRefused as refused:
                self._subscriptions.refuse(request_id, refused)
            else:
                self._subscriptions.close(subscription)
                self._subscriptions.answer("unsubscribed", request_id, subscription, None)

    def _update(self, request_id: int, params: Params) -> None:
        subscription = self._subscriptions.with_sid(read.one_sid(params))
        action = params.get("action")
        if not action:
            raise CommandRefused(15, subscription)
        if subscription.kind.names == MARKETS:
            self._update_markets(request_id, subscription, action, params)
        elif subscription.kind.names in OUTSIDE:
            self._update_outside(request_id, subscription, action, params)
        else:
            raise CommandRefused(13, subscription)

    def _update_markets(self, request_id: int, subscription: Subscription, action: object, params: Params) -> None:
        if action not in ("add_markets", "delete_markets") and (action, subscription.channel) != ("get_snapshot", BOOK):
            raise CommandRefused(13, subscription)
        wanted = read.markets(params, subscription.channel, subscription)
        if not wanted:
            raise CommandRefused(14, subscription)
        if action == "get_snapshot":
            self._events.show_books(tuple(dict.fromkeys(wanted.names)), request_id)
            return
        if action == "delete_markets":
            subscription.drop(wanted)
            self._answer_names(request_id, subscription)
            return
        shows_tickers = subscription.channel == TICKER and read.flag(params, "send_initial_snapshot")
        self._check_size(subscription, wanted)
        new = subscription.add(wanted)
        self._answer_names(request_id, subscription)
        if subscription.channel == BOOK:
            self._events.show_books(tuple(new))
        elif shows_tickers:
            self._events.show_tickers(wanted)

    def _update_outside(self, request_id: int, subscription: Subscription, action: object, params: Params) -> None:
        """Indices and underlyings: none has values here, so the list of them is empty."""
        parameter = subscription.kind.names
        outside = OUTSIDE[parameter]
        if action not in (outside.add, outside.drop, outside.show):
            raise CommandRefused(13, subscription)
        if action == outside.show:
            self._subscriptions.answer(subscription.kind.lists, request_id, subscription, {parameter: []})
            return
        wanted = read.names(params, parameter, subscription)
        if not wanted:
            raise CommandRefused(outside.missing, subscription)
        if action == outside.add:
            subscription.add(wanted)
        elif EVERYTHING in wanted.names:
            subscription.names = {}
        else:
            subscription.drop(wanted)
        if action == outside.add and EVERYTHING in wanted.names:
            subscription.names = None
        self._answer_names(request_id, subscription)

    def _check_size(self, subscription: Subscription | None, wanted: Selection) -> None:
        """Refuse more markets than one subscription may follow."""
        size = len({*wanted.names, *wanted.market_ids}) if subscription is None else subscription.size_with(wanted)
        if size > self._settings.markets_max:
            raise CommandRefused(26, subscription)

    def _answer_names(self, request_id: int, subscription: Subscription) -> None:
        """`ok` with all that is followed now; a subscription to every market names none."""
        msg: Body = {}
        parameter = subscription.kind.names or MARKETS
        if not subscription.skips_list:
            everything = [EVERYTHING] if parameter in OUTSIDE else []
            msg[parameter] = everything if subscription.names is None else sorted(subscription.names)
            if subscription.market_ids:
                msg["market_ids"] = sorted(subscription.market_ids)
        self._subscriptions.answer("ok", request_id, subscription, msg)


def _wanted(channel: str, params: Params) -> Selection:
    """What a subscribe names for one of its channels."""
    parameter = CHANNELS[channel].names
    if parameter == MARKETS:
        return read.markets(params, channel)
    return read.names(params, parameter) if parameter in OUTSIDE else Selection()


def _is_meant(fault: Fault, command: Params) -> bool:
    """Whether a fault of commands is about this one, which may be of any shape."""
    params = command.get("params")
    channels = params.get("channels") if isinstance(params, dict) else None
    named = channels if isinstance(channels, list) else ()
    return fault.command in ("", command.get("cmd")) and (not fault.channel or fault.channel in named)
