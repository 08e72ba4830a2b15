"""What is asked of one socket: its channels, the markets that come and go on them, snapshots of their books.

Made with a socket and gone with it. Rules:
- Markets are added and dropped on the subscriptions that are there; nothing is connected again for it.
- One change of the markets is under way at a time, and is answered before the next: the exchange may take commands in
  another order than they were sent in, and an addition that overtakes the removal of the same market is lost.
- A snapshot counts from the answer to its market's addition until its removal is asked for: at no other time do its
  changes follow. Snapshots are also given of markets that are not subscribed.
- What is refused, of a subscription or as a whole, is asked for again, each time twice as late, within
  `REFUSED_COMMAND_S`; until then nothing else is asked of that channel. A subscribe that is wrong in itself
  (`wire/stream_codes.py`) is repeated at the slowest pace from the first time.
- A change that is not answered within `CHANGE_ANSWER_S` gives the socket up.
- A channel that takes markets is subscribed once there are some: without any it would mean all of the exchange's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final, Literal

import trio
from attrs import Factory, define

from kalshi_daemon import limits
from kalshi_daemon.errors import Unreachable
from kalshi_daemon.shell.feeds import BOOKS, MARKET_CHANNELS
from kalshi_daemon.shell.subscriptions import Asked, Subscriptions
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire import feed
from kalshi_daemon.wire.stream_codes import StreamRemedy, remedy_of

REFUSALS_COUNTED: Final = 32  # more double nothing any more


@define(eq=False)
class _Channel:
    """What was asked of one channel, and how it went."""

    name: str
    asked: dict[Ticker, Asked] = Factory(dict)  # the markets that were added and not dropped since, each by its command
    kept: dict[Ticker, None] = Factory(dict)  # those whose removal was refused
    refusals: int = 0  # in a row
    due_s: float = -inf  # before then nothing is asked of it

    @property
    def takes_markets(self) -> bool:
        return self.name in MARKET_CHANNELS


class Subscriber:
    def __init__(
        self, channels: Sequence[str], markets: Sequence[Ticker], ids: Iterator[int], send: Callable[[str], None]
    ) -> None:
        """`ids`: of the commands, none of which any other command of the session has. `send` never waits."""
        self.known = Subscriptions()
        self._channels = {name: _Channel(name) for name in channels}
        self._wanted = dict.fromkeys(markets)
        self._changed = trio.Event()
        self._ids = ids
        self._send = send

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others; `follow` sees to it."""
        self._wanted = dict.fromkeys(markets)
        self._changed.set()

    def carries(self, market: Ticker) -> bool:
        """Its book is subscribed, and no removal of it was sent since: a snapshot of it is followed by every change.
        Until the subscription itself is acknowledged, a snapshot is its own evidence.
        """
        books = self._channels.get(BOOKS)
        command = None if books is None else books.asked.get(market)
        return command is not None and (command.accepted or BOOKS not in self.known.sids)

    async def subscribe(self) -> None:
        """Every channel, and every market that is wanted by now; all is answered when this returns."""
        while commands := [each for channel in self._channels.values() if (each := self._ask_next(channel))]:
            for command in commands:  # all are sent before the first answer is waited for
                await command.answered.wait()
            for command in commands:
                self._take_answer(command)

    async def follow(self) -> None:
        """Never returns: adds and drops what is wanted otherwise than it was asked for. Raises Unreachable."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(limits.CHANGE_ANSWER_S) as patience:
                await self.subscribe()
            if patience.cancelled_caught:
                raise Unreachable(f"no answer to a change of the markets: {self.unanswered}", maybe_done=True)
            now_s = trio.current_time()
            due_s = min((each.due_s for each in self._channels.values() if each.due_s > now_s), default=inf)
            with trio.move_on_at(due_s):
                await self._changed.wait()

    def request_snapshots(self, markets: Sequence[Ticker]) -> None:
        """Ask for the books of `markets` anew, on the same subscription; of those that it does not carry it would be
        of no use.
        """
        sid = self.known.sids.get(BOOKS)
        if sid is None:
            return
        self.known.snapshot_ids.clear()
        for chunk in _chunks([market for market in markets if self.carries(market)]):
            request_id = next(self._ids)
            self.known.snapshot_ids.add(request_id)
            self._send(feed.update_subscription(request_id, sid, "get_snapshot", chunk))

    @property
    def unanswered(self) -> str:
        return ", ".join(self.known.unanswered)

    # -------------------------------------------------------------------------------------------------------- private

    def _ask_next(self, channel: _Channel) -> Asked | None:
        """The next command that this channel needs, removals first; None: there is none now. A chunk of new books is a
        burst of snapshots, so that each is answered before the next.
        """
        name = channel.name
        if trio.current_time() < channel.due_s:
            return None
        gone = [market for market in (*channel.asked, *channel.kept) if market not in self._wanted]
        new = [market for market in self._wanted if market not in channel.asked] if channel.takes_markets else []
        if name not in self.known.sids:
            if channel.takes_markets and not new:
                return None
            return self._add(channel, "subscribe", new[: limits.SUBSCRIBE_CHUNK])
        if gone:
            return self._drop(channel, gone[: limits.SUBSCRIBE_CHUNK])
        return self._add(channel, "add_markets", new[: limits.SUBSCRIBE_CHUNK]) if new else None

    def _add(self, channel: _Channel, action: feed.Action | Literal["subscribe"], markets: Sequence[Ticker]) -> Asked:
        command = self._ask(channel, action, markets)
        for market in markets:
            channel.asked[market] = command
            channel.kept.pop(market, None)
        return command

    def _drop(self, channel: _Channel, markets: Sequence[Ticker]) -> Asked:
        for market in markets:
            channel.asked.pop(market, None)
            channel.kept.pop(market, None)
        return self._ask(channel, "delete_markets", markets)

    def _ask(self, channel: _Channel, action: feed.Action | Literal["subscribe"], markets: Sequence[Ticker]) -> Asked:
        request_id = next(self._ids)
        command = self.known.ask(request_id, channel.name, markets)
        if action == "subscribe":
            self._send(feed.subscribe(request_id, [channel.name], markets))
        else:
            self._send(feed.update_subscription(request_id, self.known.sids[channel.name], action, markets))
        return command

    def _take_answer(self, command: Asked) -> None:
        channel = self._channels[command.channel]
        if command.accepted and channel.name in self.known.sids:
            channel.refusals = 0
            return
        added = [market for market in command.markets if channel.asked.get(market) is command]
        for market in added:
            del channel.asked[market]
        if not added:
            channel.kept.update(dict.fromkeys(command.markets))
        refused = command.code if channel.name not in self.known.sids else None
        if refused is not None and remedy_of(refused, subscribed=False) is StreamRemedy.SELDOM:
            channel.refusals = REFUSALS_COUNTED
        least_s, most_s = limits.REFUSED_COMMAND_S
        channel.due_s = trio.current_time() + min(most_s, least_s * 2.0**channel.refusals)
        channel.refusals = min(channel.refusals + 1, REFUSALS_COUNTED)


def _chunks(markets: Sequence[Ticker]) -> list[Sequence[Ticker]]:
    """As many in one command as it takes."""
    return [markets[start : start + limits.SUBSCRIBE_CHUNK] for start in range(0, len(markets), limits.SUBSCRIBE_CHUNK)]
