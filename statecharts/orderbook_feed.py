"""The books of one subscription: proven by the stream, or read by REST meanwhile.

Rules:
- Usable is what is proven: a snapshot plus contiguous deltas, or a complete round of reads that is recent.
- Reading by REST goes on while the stream synchronises, and ends when the stream is proven, not when it is back.
- One market without a snapshot of its own is unusable by itself and steps nothing here.
"""

from __future__ import annotations

from statecharts.types import ChartDef

ORDERBOOK_FEED: ChartDef = {
    "name": "orderbook_feed",
    "true": "Where the books of one subscription come from, and whether they may be traded on.",
    "initial": "streaming",
    "outside": {
        "books_proven": "the order book client, when the last missing snapshot was applied",
        "gap_found": "the order book client, on a sequence number that does not follow",
        "reset_found": "the order book client, on a new subscription id or a clock that went back",
        "mismatch_found": "the order book client, on a delta that cannot be applied",
        "session_lost": "the websocket coordinator, when the session left `live`",
        "polled": "the task `poller`, after each complete round",
    },
    "states": [
        {
            "name": "streaming",
            "true": "The stream is what the books are made of.",
            "initial": "syncing",
            "children": [
                {
                    "name": "syncing",
                    "true": "The stream's books are not proven, and none is usable.",
                    "after": {"sync_overdue": "sync_limit"},
                },
                {
                    "name": "current",
                    "true": "Every book is a snapshot plus contiguous deltas; samples are compared with reads.",
                    "invoke": {"book_audit": {"done": "mismatch_found", "crashed": "mismatch_found"}},
                    "waits": "a gap, a reset, a mismatch or the end of the session",
                },
            ],
        },
        {
            "name": "polling",
            "true": "The stream is absent or not proven; the books are read by REST.",
            "initial": "filling",
            "invoke": {"poller": {"restart": "poller_restarts"}},
            "children": [
                {
                    "name": "filling",
                    "true": "No complete round is recent, and no book is usable.",
                    "after": {"poll_overdue": "poll_limit"},
                },
                {
                    "name": "fresh",
                    "true": "A complete round is recent; books are usable where configured, and shown as degraded.",
                    "after": {"poll_stale": "polled_book_age"},
                },
            ],
        },
    ],
    "transitions": [
        {
            "trigger": "books_proven",
            "source": ["streaming.syncing", "polling"],
            "dest": "streaming.current",
            "conditions": "all_proven",
            "otherwise": "a book was lost again since",
        },
        {
            "trigger": ["gap_found", "reset_found", "mismatch_found", "session_lost"],
            "source": "streaming.current",
            "dest": "streaming.syncing",
        },
        {"trigger": "sync_overdue", "source": "streaming.syncing", "dest": "polling"},
        {"trigger": "polled", "source": ["polling.filling", "polling.fresh"], "dest": "polling.fresh"},
        {"trigger": "poll_stale", "source": "polling.fresh", "dest": "polling.filling"},
        {"trigger": "poll_overdue", "source": "polling.filling", "dest": "polling.filling"},
        {"trigger": "task_crashed", "source": "polling", "dest": "polling"},
    ],
}
