"""The life of the daemon: starting, calibrating, trading or paused, recovering, stopping.

Rules:
- Why we are paused is not a state but a set of holds in the ledger; what only reduces is a set of restrictions. Both
  are levels. Facts change a level first; the event posted after it is a poke and carries no news, since every row
  that enters `trading` or leaves `paused` asks the levels by its guards.
- `trading` has two doors: `calibrated`, and from `paused` the level `account_agreed`. Both look at holds and feeds.
- `hold_placed` before anything is trusted, and in `stopping`, changes the set only: the row that leaves reads it.
- A stop is never taken back: no row leads from `stopping` anywhere but to the two ends.
- A task of `trading` that crashes takes its state with it; nothing is left active without its tasks.
"""

from __future__ import annotations

from typing import Final

from statecharts.types import ChartDef

LIVE: Final = ["starting", "calibrating", "trading", "paused", "recovering"]
AGREED: Final = ["feeds_usable", "account_agreed"]  # what trading needs once no hold is in force

TRADER: ChartDef = {
    "name": "trader",
    "true": "Whether the daemon may trade, and what it does while it may not.",
    "initial": "starting",
    "invoke": {
        "journal": {"crashed": "service_lost"},
        "event_bus": {"crashed": "service_lost"},
        "order_writer": {"crashed": "service_lost"},
        "watchdog": {"crashed": "service_lost"},
        "websocket_coordinator": {"restart": "service_restarts", "crashed": "service_lost"},
        "clock_watch": {"restart": "service_restarts", "crashed": "service_lost"},
        "exchange_watch": {"restart": "service_restarts", "crashed": "service_lost"},
        "recorder": {"restart": "service_restarts"},
        "metrics": {"restart": "service_restarts"},
        "control": {"restart": "service_restarts"},
        "dashboard": {"restart": "service_restarts"},
    },
    "outside": {
        "stop": "the operator, or a signal to the process",
        "hold_placed": "the event bus, after a hold was folded",
        "holds_lifted": "the event bus, after the last hold went",
        "restriction_placed": "the event bus, after a restriction was folded",
        "restrictions_lifted": "the event bus, after the last restriction went",
        "feeds_lost": "the websocket coordinator, when feeds were not usable for 3 s",
    },
    "states": [
        {
            "name": "starting",
            "true": "Nothing has been compared with the exchange yet.",
            "initial": "preflight",
            "children": [
                {
                    "name": "preflight",
                    "true": "Nothing is trusted; configuration, key, clock, exchange, model and journal are checked.",
                    "invoke": {
                        "preflight": {
                            "done": {
                                "passed": "preflight_passed",
                                "refused": "preflight_refused",
                                "deferred": "preflight_deferred",
                            },
                            "crashed": "preflight_refused",
                        }
                    },
                    "after": {"preflight_overdue": "preflight_limit"},
                },
                {
                    "name": "deferred",
                    "true": "A check could not be made (exchange or network away); the next try has a time.",
                    "after": {"preflight_due": "preflight_backoff"},
                },
                {
                    "name": "connecting",
                    "true": "Key, clock and journal are good; the books are not there yet.",
                    "invoke": {"await_feeds": {"done": "feeds_ready", "crashed": "feeds_overdue"}},
                    "after": {"feeds_overdue": "feeds_limit"},
                },
            ],
        },
        {
            "name": "calibrating",
            "true": "The exchange is being asked once for the whole truth about the account.",
            "invoke": {
                "calibrate": {
                    "done": {"agreed": "calibrated", "incomplete": "calibration_failed", "differs": "diverged"},
                    "crashed": "calibration_failed",
                }
            },
            "after": {"calibration_overdue": "calibration_limit"},
        },
        {
            "name": "trading",
            "true": "No hold is in force, feeds are usable and the account agrees with the exchange.",
            "initial": "normal",
            "invoke": {"actor": {}, "sync": {}, "closing_rules": {}},
            "after": {"steady": "steady_limit"},
            "waits": "this is the state that is wanted",
            "children": [
                {
                    "name": "normal",
                    "true": "No restriction is in force.",
                    "waits": "this is the state that is wanted",
                },
                {
                    "name": "reducing",
                    "true": "Only reductions pass; resting orders that increase are being cancelled.",
                    "after": {"reminder_due": "reminder_interval"},
                    "waits": "restrictions, each with a condition of its own",
                },
            ],
        },
        {
            "name": "paused",
            "true": "At least one hold is in force, and no order may increase exposure.",
            "initial": "sweeping",
            "invoke": {"watch_holds": {}, "sync": {}, "closing_rules": {}},
            "waits": "holds, each with a condition of its own",
            "children": [
                {
                    "name": "sweeping",
                    "true": "What the holds want cancelled is being cancelled and verified.",
                    "invoke": {
                        "sweep": {
                            "done": {"verified": "swept", "not_verified": "sweep_failed"},
                            "crashed": "sweep_failed",
                        }
                    },
                    "after": {"sweep_overdue": "sweep_limit"},
                },
                {
                    "name": "holding",
                    "true": "What the holds wanted cancelled is verified as gone.",
                    "after": {"reminder_due": "reminder_interval"},
                    "waits": "holds, each with a condition of its own",
                },
                {
                    "name": "unswept",
                    "true": "Something may still rest; the alarm names it, and the next sweep has a time.",
                    "after": {"sweep_due": "sweep_backoff"},
                },
            ],
        },
        {
            "name": "recovering",
            "true": "Something that trading needs was lost; after 10 s without books what increases is cancelled.",
            "initial": "backing_off",
            "invoke": {"cancel_blind": {"restart": "task_restarts"}},
            "children": [
                {
                    "name": "backing_off",
                    "true": "The next attempt has a time.",
                    "after": {"retry_due": "recovery_backoff"},
                },
                {
                    "name": "reconnecting",
                    "true": "One attempt is under way; the last one allowed places the hold recovery, then fails.",
                    "invoke": {
                        "recover": {
                            "done": {"recovered": "recovered", "failed": "attempt_failed"},
                            "crashed": "attempt_failed",
                        }
                    },
                    "after": {"attempt_overdue": "attempt_limit"},
                },
            ],
        },
        {
            "name": "stopping",
            "true": "Nothing new starts.",
            "initial": "draining",
            "children": [
                {
                    "name": "draining",
                    "true": "All orders are being cancelled, and the empty list verified twice.",
                    "invoke": {
                        "drain": {
                            "done": {"verified": "drained", "not_verified": "drain_failed"},
                            "crashed": "drain_failed",
                        }
                    },
                    "after": {"drain_overdue": "drain_limit"},
                },
                {
                    "name": "sealing",
                    "true": "What still rests is named in an alarm; the last facts are being made durable.",
                    "invoke": {"seal": {"done": "sealed", "crashed": "sealed"}},
                    "after": {"seal_overdue": "seal_limit"},
                },
            ],
        },
        {"name": "stopped", "true": "The process ends as it was asked to.", "final": True},
        {"name": "failed", "true": "The process ends with an error; journal and log say which.", "final": True},
    ],
    "transitions": [
        # ---- starting
        {
            "trigger": "preflight_passed",
            "source": "starting.preflight",
            "dest": "paused",
            "conditions": "held",
        },
        {"trigger": "preflight_passed", "source": "starting.preflight", "dest": "starting.connecting"},
        {"trigger": "preflight_refused", "source": "starting.preflight", "dest": "failed"},
        {
            "trigger": ["preflight_deferred", "preflight_overdue"],
            "source": "starting.preflight",
            "dest": "starting.deferred",
        },
        {"trigger": "preflight_due", "source": "starting.deferred", "dest": "starting.preflight"},
        {"trigger": "feeds_ready", "source": "starting.connecting", "dest": "calibrating"},
        {"trigger": "feeds_overdue", "source": "starting.connecting", "dest": "recovering"},
        # ---- calibrating: the first door of trading
        {"trigger": "calibrated", "source": "calibrating", "dest": "paused", "conditions": "held"},
        {"trigger": "calibrated", "source": "calibrating", "dest": "recovering", "unless": "feeds_usable"},
        {"trigger": "calibrated", "source": "calibrating", "dest": "trading.reducing", "conditions": "restricted"},
        {"trigger": "calibrated", "source": "calibrating", "dest": "trading.normal"},
        {"trigger": ["calibration_failed", "calibration_overdue"], "source": "calibrating", "dest": "recovering"},
        {"trigger": "diverged", "source": "calibrating", "dest": "paused"},
        # ---- trading
        {
            "trigger": "restriction_placed",
            "source": "trading.normal",
            "dest": "trading.reducing",
            "conditions": "restricted",
            "otherwise": "the restriction has gone again",
        },
        {
            "trigger": "restrictions_lifted",
            "source": "trading.reducing",
            "dest": "trading.normal",
            "unless": "restricted",
            "otherwise": "another restriction is in force",
        },
        {"trigger": "reminder_due", "source": "trading.reducing", "dest": "trading.reducing"},
        {"trigger": "steady", "source": "trading", "dest": None},
        {
            "trigger": "feeds_lost",
            "source": "trading",
            "dest": "recovering",
            "unless": "feeds_usable",
            "otherwise": "feeds are usable again",
        },
        # ---- a hold, wherever orders could rest
        {
            "trigger": "hold_placed",
            "source": ["starting.connecting", "calibrating", "trading", "recovering"],
            "dest": "paused",
            "conditions": "held",
            "otherwise": "the hold has been lifted again",
        },
        {
            "trigger": "hold_placed",
            "source": ["paused.sweeping", "paused.holding", "paused.unswept"],
            "dest": "paused.sweeping",
            "conditions": "sweep_wanted",
            "otherwise": "the hold wants nothing cancelled that is not gone",
        },
        # ---- paused: the second door of trading
        {"trigger": "swept", "source": "paused.sweeping", "dest": "paused.holding", "conditions": "held"},
        {
            "trigger": "swept",
            "source": "paused.sweeping",
            "dest": "trading.reducing",
            "conditions": [*AGREED, "restricted"],
        },
        {"trigger": "swept", "source": "paused.sweeping", "dest": "trading.normal", "conditions": AGREED},
        {"trigger": "swept", "source": "paused.sweeping", "dest": "calibrating", "conditions": "feeds_usable"},
        {"trigger": "swept", "source": "paused.sweeping", "dest": "recovering"},
        {"trigger": ["sweep_failed", "sweep_overdue"], "source": "paused.sweeping", "dest": "paused.unswept"},
        {"trigger": "sweep_due", "source": "paused.unswept", "dest": "paused.sweeping"},
        {"trigger": "holds_lifted", "source": "paused.holding", "dest": None, "conditions": "held"},
        {
            "trigger": "holds_lifted",
            "source": "paused.holding",
            "dest": "trading.reducing",
            "conditions": [*AGREED, "restricted"],
        },
        {"trigger": "holds_lifted", "source": "paused.holding", "dest": "trading.normal", "conditions": AGREED},
        {"trigger": "holds_lifted", "source": "paused.holding", "dest": "calibrating", "conditions": "feeds_usable"},
        {"trigger": "holds_lifted", "source": "paused.holding", "dest": "recovering"},
        {"trigger": "reminder_due", "source": "paused.holding", "dest": "paused.holding"},
        # ---- recovering
        {"trigger": "retry_due", "source": "recovering.backing_off", "dest": "recovering.reconnecting"},
        {"trigger": "recovered", "source": "recovering.reconnecting", "dest": "calibrating"},
        {
            "trigger": ["attempt_failed", "attempt_overdue"],
            "source": "recovering.reconnecting",
            "dest": "recovering.backing_off",
        },
        # ---- the ways out
        {"trigger": "stop", "source": LIVE, "dest": "stopping"},
        {
            "trigger": ["drained", "drain_failed", "drain_overdue"],
            "source": "stopping.draining",
            "dest": "stopping.sealing",
        },
        {"trigger": ["sealed", "seal_overdue"], "source": "stopping.sealing", "dest": "stopped"},
        {"trigger": "task_crashed", "source": "trading", "dest": "recovering", "conditions": "crashes_left"},
        {"trigger": "task_crashed", "source": "paused", "dest": "paused", "conditions": "crashes_left"},
        {"trigger": "task_crashed", "source": ["trading", "paused", "recovering"], "dest": "failed"},
        {"trigger": "service_lost", "source": [*LIVE, "stopping"], "dest": "failed"},
    ],
}
