"""What is asked of one socket: its channels, the markets that come and go on them, snapshots of their books.

Made with a socket and gone with it. Rules:
- Markets are added and dropped on the subscriptions that are there; nothing is connected again for it.
- One change of the markets is under way at a time, and is answered before the next: the exchange may take commands in
  another order than they were sent in, and an addition that overtakes the removal of the same market is lost.
- Between the removal of a market and its next addition no snapshot of it counts: its changes do not come any more.
- A change that is not answered within `CHANGE_ANSWER_S` gives the socket up.
- A channel that takes markets is subscribed once there are some: without any it would mean all of the exchange's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import trio

from kalshi_daemon import limits
from kalshi_daemon.errors import Unreachable
from kalshi_daemon.shell.feeds import BOOKS, MARKET_CHANNELS
from kalshi_daemon.shell.subscriptions import Asked, Subscriptions
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire import feed


class Subscriber:
    def __init__(
        self, channels: Sequence[str], markets: Sequence[Ticker], ids: Iterator[int], send: Callable[[str], None]
    ) -> None:
        """`ids`: of the commands, none of which any other command of the session has. `send` never waits."""
        self.known = Subscriptions()
        self._channels = tuple(channels)
        self._wanted = dict.fromkeys(markets)
        self._asked: dict[Ticker, None] = {}  # the markets that were asked for, and not dropped since
        self._changed = trio.Event()
        self._ids = ids
        self._send = send

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others; `follow` sees to it."""
        self._wanted = dict.fromkeys(markets)
        self._changed.set()

    def carries(self, market: Ticker) -> bool:
        """Asked for, and no removal of it was sent since: a snapshot of it is followed by every change."""
        return market in self._asked

    async def subscribe(self) -> None:
        """Every channel, and every market that is wanted by now; all is answered when this returns."""
        first = tuple(self._wanted)[: limits.SUBSCRIBE_CHUNK]
        self._asked.update(dict.fromkeys(first))
        await _answers(
            self._subscribe(channel, first if channel in MARKET_CHANNELS else ())
            for channel in self._channels
            if first or channel not in MARKET_CHANNELS
        )
        await self._add()

    async def follow(self) -> None:
        """Never returns: adds and drops what is wanted otherwise than it was asked for. Raises Unreachable."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(limits.CHANGE_ANSWER_S) as patience:
                await self._drop()
                await self._add()
            if patience.cancelled_caught:
                raise Unreachable(f"no answer to a change of the markets: {self.unanswered}", maybe_done=True)
            await self._changed.wait()

    def request_snapshots(self, markets: Sequence[Ticker]) -> None:
        """Ask for the books of `markets` anew, on the same subscription."""
        sid = self.known.sids.get(BOOKS)
        if sid is None:
            return
        self.known.snapshot_ids.clear()
        for chunk in _chunks(markets):
            request_id = next(self._ids)
            self.known.snapshot_ids.add(request_id)
            self._send(feed.update_subscription(request_id, sid, "get_snapshot", chunk))

    @property
    def unanswered(self) -> str:
        return ", ".join(self.known.unanswered)

    # -------------------------------------------------------------------------------------------------------- private

    async def _drop(self) -> None:
        for chunk in _chunks([market for market in self._asked if market not in self._wanted]):
            for market in chunk:
                del self._asked[market]
            await _answers(
                self._update(channel, "delete_markets", chunk) for channel, opened in self._market_channels() if opened
            )

    async def _add(self) -> None:
        """Chunk by chunk, each answered before the next: a chunk of new books is a burst of snapshots."""
        for chunk in _chunks([market for market in self._wanted if market not in self._asked]):
            self._asked.update(dict.fromkeys(chunk))
            await _answers(
                self._update(channel, "add_markets", chunk) if opened else self._subscribe(channel, chunk)
                for channel, opened in self._market_channels()
                if opened or channel not in self.known.refused
            )

    def _market_channels(self) -> Iterator[tuple[str, bool]]:
        """Each with whether it is subscribed."""
        return ((channel, channel in self.known.sids) for channel in self._channels if channel in MARKET_CHANNELS)

    def _subscribe(self, channel: str, markets: Sequence[Ticker]) -> Asked:
        request_id = next(self._ids)
        return self._ask(channel, request_id, feed.subscribe(request_id, [channel], markets))

    def _update(self, channel: str, action: feed.Action, markets: Sequence[Ticker]) -> Asked:
        request_id = next(self._ids)
        text = feed.update_subscription(request_id, self.known.sids[channel], action, markets)
        return self._ask(channel, request_id, text)

    def _ask(self, channel: str, request_id: int, text: str) -> Asked:
        command = self.known.ask(request_id, channel)
        self._send(text)
        return command


async def _answers(commands: Iterable[Asked]) -> None:
    """All are sent before the first answer is waited for."""
    for command in list(commands):
        await command.answered.wait()


def _chunks(markets: Sequence[Ticker]) -> list[Sequence[Ticker]]:
    """As many in one command as it takes."""
    return [markets[start : start + limits.SUBSCRIBE_CHUNK] for start in range(0, len(markets), limits.SUBSCRIBE_CHUNK)]
