"""What one session does with each frame: its place in the sequence, whose it is, what it answers.

Rules:
- Sequence numbers are checked here, per subscription, over every frame that carries one: a gap is told, never mended
  here. A frame that is not new is passed over, and told as a gap too: either it or its predecessor is not what it
  says.
- A frame of books whose subscription is not ours touches none; it is counted, and a gap of ours, whatever its number.
- A frame that cannot be read is counted and passed over, and what its channel may have missed is told at once: the
  next frame, which would show the gap, may be an hour away, and private channels have no numbers at all.
- Frames are handled in the reader's own step. Nothing here waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.errors import Unreachable
from kalshi_daemon.facts import BookSnapshot, FrameIgnored, StreamRefused, Subscribed, SubscriptionUpdated, Unsubscribed
from kalshi_daemon.shell.feeds import ANY_CHANNEL, BOOKS, CHANNEL_OF_FACT, CHANNEL_OF_TYPE
from kalshi_daemon.shell.subscriber import Subscriber
from kalshi_daemon.shell.subscriptions import Subscriptions
from kalshi_daemon.wire import feed
from kalshi_daemon.wire.envelope import read_envelope
from kalshi_daemon.wire.stream_codes import StreamRemedy, remedy_of


@frozen
class FrameHooks:
    """What a session is told of its frames."""

    on_fact: Callable[[feed.Decoded], None]
    on_gap: Callable[[str], None]  # the channel that missed something, or ANY_CHANNEL
    on_change: Callable[[], None]  # a subscription is not what it was
    on_refused: Callable[[Subscriptions], None]  # what is refused of them has changed
    on_nothing: Callable[[str], None]  # an error of nothing that was asked, at most one in FRAME_LOG_INTERVAL_S
    reconnect: Callable[[str], None]


class SessionFrames:
    def __init__(self, hooks: FrameHooks) -> None:
        # frames that were not passed on, by why
        self.counts = Counter(
            unread=0, repeated=0, unwanted=0, foreign=0, other_subaccount=0, ignored=0, refused=0, refused_commands=0
        )
        self._hooks = hooks
        self._said_s = float("-inf")  # when an error of nothing was last told

    def handle(self, subscriber: Subscriber, decoded: feed.Decoded) -> None:
        subscriptions = subscriber.known
        sid = getattr(decoded, "sid", None)
        seq = getattr(decoded, "seq", None)
        if sid is not None and CHANNEL_OF_FACT.get(type(decoded)) == BOOKS and not subscriptions.speaks_of_books(sid):
            self.counts["foreign"] += 1
            self._hooks.on_gap(BOOKS)
            return
        if sid is not None and seq is not None:
            ahead = self._count(subscriptions, sid, seq)
            if ahead != 1:
                channel = CHANNEL_OF_FACT.get(type(decoded), ANY_CHANNEL)
                self._hooks.on_gap(subscriptions.channel_of(sid) or channel)
                if ahead < 1 and channel != ANY_CHANNEL:
                    return  # what it says was said, or is older than what we know; an answer is one all the same
        if isinstance(decoded, Subscribed):
            if decoded.channel == BOOKS and not subscriptions.speaks_of_books(decoded.sid):
                self._hooks.on_gap(BOOKS)
            subscriptions.sids[decoded.channel] = decoded.sid
            subscriptions.answer(decoded.request_id)
            self._hooks.on_change()
        elif isinstance(decoded, SubscriptionUpdated):
            subscriptions.answer(decoded.request_id, sid=decoded.sid)
            self._hooks.on_change()
        elif isinstance(decoded, StreamRefused):
            self._refuse(subscriptions, decoded)
        elif isinstance(decoded, Unsubscribed):  # never asked for
            raise _ended(f"unsubscribed {subscriptions.channel_of(decoded.sid) or decoded.sid}")
        elif isinstance(decoded, BookSnapshot) and not subscriber.carries(decoded.market):
            self.counts["unwanted"] += 1
        elif isinstance(decoded, FrameIgnored):
            self.counts[decoded.kind if decoded.kind == feed.OTHER_SUBACCOUNT else "ignored"] += 1
        else:
            self._hooks.on_fact(decoded)

    def _count(self, subscriptions: Subscriptions, sid: int, seq: int) -> int:
        ahead = subscriptions.count(sid, seq)
        if ahead < 1:
            self.counts["repeated"] += 1
            if subscriptions.repeats > limits.SEQUENCE_REPEATS_MAX:
                self._hooks.reconnect(f"sequence numbers went back {subscriptions.repeats} times")
        return ahead

    def pass_over(self, subscriptions: Subscriptions, frame: bytes | str) -> None:
        """A frame that cannot be read still has its place in the sequence, and its channel has missed it."""
        self.counts["unread"] += 1
        envelope = read_envelope(frame)
        if envelope is None:
            self._hooks.on_gap(ANY_CHANNEL)
            return
        channel = CHANNEL_OF_TYPE.get(envelope.type)
        if envelope.sid is not None:
            channel = subscriptions.channel_of(envelope.sid) or channel or ANY_CHANNEL
            if envelope.seq is not None:
                self._count(subscriptions, envelope.sid, envelope.seq)
        if channel is not None:  # None: of a type that nobody told us of, and of none of our subscriptions
            self._hooks.on_gap(channel)

    def _refuse(self, subscriptions: Subscriptions, refused: StreamRefused) -> None:
        text = f"{refused.code} {refused.message}"
        ours = subscriptions.is_of_ours(refused.request_id)
        if remedy_of(refused.code, subscribed=ours) is StreamRemedy.RESUBSCRIBE:
            raise _ended(text)
        said = dict(subscriptions.refused)
        if refused.request_id in subscriptions.snapshot_ids:
            self._hooks.reconnect(f"the exchange refused snapshots: {text}")
        elif subscriptions.refuse(refused.request_id, refused.code, text):
            self.counts["refused_commands"] += 1
            if subscriptions.refused != said:
                self._hooks.on_refused(subscriptions)
        else:
            self.counts["refused"] += 1
            if trio.current_time() - self._said_s >= limits.FRAME_LOG_INTERVAL_S:  # a flood of them is one line
                self._said_s = trio.current_time()
                self._hooks.on_nothing(text)


def _ended(what: str) -> Unreachable:
    return Unreachable(f"the exchange ended a subscription: {what}", maybe_done=False)
