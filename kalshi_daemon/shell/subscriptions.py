"""What is known of one socket's subscriptions: their ids, how far each has counted, and the commands under way.

Made with a socket and gone with it. Rules: sequence numbers go up by one from 1, over every frame of a subscription,
answers included (api.md 7.2); answers are matched by their id, in whatever order they come. Bounded by what was asked
for: a channel for each of ours, a command for each chunk of markets. Of what
nobody asked for, the newest are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio
from attrs import Factory, define

from kalshi_daemon import limits
from kalshi_daemon.shell.feeds import ANY_CHANNEL, BOOKS
from kalshi_daemon.units import Ticker


@define(eq=False)
class Asked:
    """A command, the channel that it is about, and the markets that it names."""

    channel: str
    markets: Sequence[Ticker] = ()
    accepted: bool = False
    code: int | None = None  # that it was refused with
    answered: trio.Event = Factory(trio.Event)


@define(eq=False)
class Subscriptions:
    sids: dict[str, int] = Factory(dict)  # by channel
    refused: dict[str, str] = Factory(dict)  # channel -> in the exchange's words
    snapshot_ids: set[int] = Factory(set)  # the commands of the last round of snapshots that was asked for
    repeats: int = 0  # frames that were not new
    _books_sid: int | None = None  # that frames of books came with before the subscription was acknowledged
    _highest: dict[int, int] = Factory(dict)  # by subscription
    _asked: dict[int, Asked] = Factory(dict)  # by request id, until answered

    def channel_of(self, sid: int) -> str:
        return next((channel for channel, known in self.sids.items() if known == sid), ANY_CHANNEL)

    def speaks_of_books(self, sid: int) -> bool:
        """Whether this subscription is ours of the books. Until it is acknowledged, the first that speaks of them is;
        whoever takes the acknowledgement asks too, and learns whether the frames before it were.
        """
        if BOOKS in self.sids:
            return sid == self.sids[BOOKS]
        self._books_sid = sid if self._books_sid is None else self._books_sid
        return sid == self._books_sid

    def count(self, sid: int, seq: int) -> int:
        """How far ahead of the frames so far this one is: 1 is the next, less than 1 is not new."""
        highest = self._highest.get(sid, 0)
        if seq > highest:
            self._highest[sid] = seq
            if len(self._highest) > limits.SUBSCRIPTIONS_COUNTED_MAX:
                self._forget_one()
        else:
            self.repeats += 1
        return seq - highest

    def _forget_one(self) -> None:
        """The oldest that is none of ours; a frame of it that comes all the same is told as a gap."""
        ours = {*self.sids.values(), self._books_sid}
        del self._highest[next((sid for sid in self._highest if sid not in ours), next(iter(self._highest)))]

    def ask(self, request_id: int, channel: str, markets: Sequence[Ticker] = ()) -> Asked:
        command = self._asked[request_id] = Asked(channel, markets)
        return command

    def answer(self, request_id: int | None, sid: int | None = None) -> bool:
        """Accepted; whether it was asked. That ends what was refused of its channel before. `sid`: of the subscription,
        where one that was open already is what a subscribe was answered with.
        """
        command = None if request_id is None else self._asked.pop(request_id, None)
        if command is None:
            return False
        command.accepted = True
        self.refused.pop(command.channel, None)
        if sid is not None:
            self.sids.setdefault(command.channel, sid)
        command.answered.set()
        return True

    def refuse(self, request_id: int | None, code: int, text: str) -> bool:
        """Refused; whether it was asked."""
        command = None if request_id is None else self._asked.pop(request_id, None)
        if command is None:
            return False
        command.code = code
        self.refused[command.channel] = text
        command.answered.set()
        return True

    def is_of_ours(self, request_id: int | None) -> bool:
        """Whether a command that waits for its answer is about a subscription that is there."""
        command = None if request_id is None else self._asked.get(request_id)
        return request_id in self.snapshot_ids or (command is not None and command.channel in self.sids)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The channels that still wait for an answer."""
        return tuple(dict.fromkeys(command.channel for command in self._asked.values()))
