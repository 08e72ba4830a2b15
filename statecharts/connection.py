"""One WebSocket session: dialled, subscribed, live, backing off, refused.

Rules:
- The socket hangs on `session`, because it outlives connecting and because acknowledgements are frames that somebody
  reads.
- Retrying has no end and full jitter; a refused key is tried four times an hour and its diagnosis is kept.
- Live means that pings are answered or frames arrive: a quiet market is not a dead session.
- A change of the wanted markets happens inside `live`; it steps nothing.
- A refusal for the clock alone sets the clock's offset and counts as `not_opened`.
"""

from __future__ import annotations

from statecharts.types import ChartDef

CONNECTION: ChartDef = {
    "name": "connection",
    "true": "Whether one WebSocket session is there, and when it is tried again.",
    "initial": "down",
    "outside": {
        "open_wanted": "the websocket coordinator, when the session is to be opened",
        "close_wanted": "the websocket coordinator, when it is not needed any more",
        "retry_asked": "the trader's recovery, or a person, who will not wait for the back-off",
        "dialled": "the task `socket`, when the upgrade was answered",
    },
    "states": [
        {"name": "down", "true": "No session is wanted.", "waits": "open_wanted"},
        {
            "name": "session",
            "true": "One socket is being made or is open; leaving the state closes it.",
            "initial": "connecting",
            "invoke": {
                "socket": {
                    "done": {"opened_and_dropped": "dropped", "not_opened": "dial_failed", "refused": "dial_refused"},
                    "crashed": "dropped",
                }
            },
            "children": [
                {
                    "name": "connecting",
                    "true": "TCP, TLS and the upgrade with a fresh signature are under way.",
                    "after": {"dial_overdue": "dial_limit"},
                },
                {
                    "name": "subscribing",
                    "true": "The socket is open; not every wanted subscription has been answered.",
                    "invoke": {
                        "keepalive": {"done": "silent", "crashed": "silent"},
                        "subscribe": {
                            "done": {"answered": "subscribed", "all_refused": "subscribe_failed"},
                            "crashed": "subscribe_failed",
                        },
                    },
                    "after": {"subscribe_overdue": "subscribe_limit"},
                },
                {
                    "name": "live",
                    "true": "Every wanted subscription is answered, and pings are answered.",
                    "invoke": {"keepalive": {"done": "silent", "crashed": "silent"}},
                    "after": {"steady": "session_steady_limit"},
                    "waits": "the task `keepalive` ends it",
                },
            ],
        },
        {
            "name": "backing_off",
            "true": "The session is wanted; the next dial has a time.",
            "after": {"retry_due": "session_backoff"},
        },
        {
            "name": "refused",
            "true": "The exchange refuses this key; the alarm says how, and the next dial has a time.",
            "after": {"retry_due": "refused_interval"},
        },
    ],
    "transitions": [
        {"trigger": "open_wanted", "source": "down", "dest": "session"},
        {"trigger": "dialled", "source": "session.connecting", "dest": "session.subscribing"},
        {"trigger": "dial_overdue", "source": "session.connecting", "dest": "backing_off"},
        {"trigger": "dial_refused", "source": "session", "dest": "backing_off", "conditions": "refusals_left"},
        {"trigger": "dial_refused", "source": "session", "dest": "refused"},
        {"trigger": "subscribed", "source": "session.subscribing", "dest": "session.live"},
        {
            "trigger": ["subscribe_failed", "subscribe_overdue"],
            "source": "session.subscribing",
            "dest": "backing_off",
        },
        {"trigger": ["dial_failed", "dropped", "silent"], "source": "session", "dest": "backing_off"},
        {"trigger": "steady", "source": "session.live", "dest": None},
        {"trigger": ["retry_due", "retry_asked"], "source": ["backing_off", "refused"], "dest": "session"},
        {"trigger": "close_wanted", "source": ["session", "backing_off", "refused"], "dest": "down"},
    ],
}
