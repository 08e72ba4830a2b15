"""The subscriptions of one stream, and the envelope of every frame that it sends: type, id, sid, seq (api.md 7.2).

Rules:
- One sid per channel, numbered from 1. On sequenced channels every frame of a sid counts: snapshots, deltas, `ok`,
  `unsubscribed` and the errors about it. On the others only `unsubscribed` has a number, because the specification
  requires one there.
- A frame that finds no room ends its subscription with error 25: nobody waits for a slow reader. Answers always find
  room, because no command is heard while there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
from attrs import Factory, define, frozen

from kalshi_daemon.emulator.bodies import Body
from kalshi_daemon.emulator.channels import CHANNELS, ERRORS, OVERFLOW, TERMINAL, Channel
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.units import Milliseconds, Ticker


class Outlet(Protocol):
    """Where frames go. `full` says that no more data may be added; answers may always."""

    @property
    def full(self) -> bool: ...
    def put(self, frame: str) -> None: ...


@frozen
class Selection:
    """What a command names: tickers (or the names of an outside channel), and on the ticker channel market ids."""

    names: tuple[str, ...] = ()
    market_ids: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.market_ids)


@define(eq=False)
class Subscription:
    """One channel of one stream. `names` is None where it follows all; `seq` is that of the last frame.

    Invariant: `shown` holds the markets of `names` whose book was sent; only they get deltas.
    """

    sid: int
    channel: str
    names: dict[str, None] | None
    use_yes_price: bool = False
    skips_list: bool = False  # skip_ticker_ack: `ok` does not say what is followed
    market_ids: dict[str, None] = Factory(dict)
    seq: int = 0
    shown: set[Ticker] = Factory(set)

    @property
    def kind(self) -> Channel:
        return CHANNELS[self.channel]

    def follows(self, name: str, market_id: str = "") -> bool:
        return self.names is None or name in self.names or market_id in self.market_ids

    def size_with(self, wanted: Selection) -> int:
        """How many markets it would follow with these."""
        return len({*(self.names or ()), *wanted.names}) + len({*self.market_ids, *wanted.market_ids})

    def add(self, wanted: Selection) -> list[str]:
        """Follow these too; returns the names that are new."""
        if self.names is None:
            return []
        self.market_ids.update(dict.fromkeys(wanted.market_ids))
        new = [name for name in dict.fromkeys(wanted.names) if name not in self.names]
        self.names.update(dict.fromkeys(new))
        return new

    def drop(self, wanted: Selection) -> None:
        for market_id in wanted.market_ids:
            self.market_ids.pop(market_id, None)
        for name in wanted.names:
            self.shown.discard(name)
            if self.names is not None:
                self.names.pop(name, None)


class CommandRefused(Exception):
    """One command, or one channel of it, is refused; `subscription` is the one that it was about, if any."""

    def __init__(self, code: int, subscription: Subscription | None = None) -> None:
        super().__init__(ERRORS[code])
        self.code = code
        self.subscription = subscription


class Subscriptions:
    """All subscriptions of one stream, in the order in which they were opened, and its outlet."""

    def __init__(self, settings: ServerSettings, now_ms: Callable[[], Milliseconds], outlet: Outlet) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._outlet = outlet
        self._sids = 0
        self._open: dict[str, Subscription] = {}  # by channel

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._open.values())

    def get(self, channel: str) -> Subscription | None:
        return self._open.get(channel)

    def with_sid(self, sid: object) -> Subscription:
        """Raises CommandRefused 7."""
        for subscription in self:
            if subscription.sid == sid and not isinstance(sid, bool):
                return subscription
        raise CommandRefused(7)

    def open(self, channel: str, *, use_yes_price: bool, skips_list: bool) -> Subscription:
        """A subscription that follows nothing yet."""
        assert channel not in self._open, f"{channel} is open"
        self._sids += 1
        self._open[channel] = Subscription(self._sids, channel, {}, use_yes_price, skips_list)
        return self._open[channel]

    def close(self, subscription: Subscription) -> None:
        del self._open[subscription.channel]

    # ------------------------------------------------------------------------------------------------------ frames

    def send(self, kind: str, subscription: Subscription, msg: Body, request_id: int = 0) -> None:
        """Data: where there is no room for it, its subscription is over."""
        if self._outlet.full:
            self.end(subscription, OVERFLOW)
        else:
            self.answer(kind, request_id, subscription, msg)

    def end(self, subscription: Subscription, code: int) -> None:
        """End it from the exchange's side: a channel error, or an overflow."""
        assert code in TERMINAL, code
        self.close(subscription)
        self.refuse(0, CommandRefused(code, subscription))

    def refuse(self, request_id: int, refused: CommandRefused) -> None:
        self.answer("error", request_id, refused.subscription, {"code": refused.code, "msg": ERRORS[refused.code]})

    def answer(self, kind: str, request_id: int, subscription: Subscription | None, msg: object) -> None:
        """One frame, whether there is room or not; without `msg` if that is None."""
        frame: Body = {"type": kind}
        if request_id:
            frame["id"] = request_id
        if subscription is not None:
            frame["sid"] = subscription.sid
            if subscription.kind.sequenced or kind == "unsubscribed":
                subscription.seq += 1
                frame["seq"] = subscription.seq
        if msg is not None:
            frame["msg"] = msg
        if self._settings.send_sending_ts:
            frame["sending_ts_ms"] = self._now_ms()
        self._outlet.put(msgspec.json.encode(frame).decode() + "\n")
