"""The policy's loop: running, cooling after too many orders, disabled.

Rules:
- Invoked by `trading`: it goes on over normal and reducing, and ends with trading.
- Waiting, deciding and acting are no states: they would step a chart three times a batch, which market data must
  never do.
- The throttle of one market is a mask over the batch; `cooling` is about the account's rate alone. Closing rules and
  cancels go on in every state here.
"""

from __future__ import annotations

from statecharts.types import ChartDef

ACTOR: ChartDef = {
    "name": "actor",
    "true": "Whether the policy decides.",
    "initial": "running",
    "outside": {
        "rate_spent": "the daemon, when an order met the bounds of the order rate (P16) or was refused with 429",
        "policy_stuck": "the watchdog, when the loop's heartbeat is over 5 s old",
        "model_replaced": "the control socket, after a reload has checked the new model",
    },
    "states": [
        {
            "name": "running",
            "true": "The loop waits for dirty markets, decides them in one batch and hands intents to the gate.",
            "invoke": {"decide_and_act": {"crashed": "policy_failed"}},
            "waits": "this is the state that is wanted; the heartbeat of the loop is watched",
        },
        {
            "name": "cooling",
            "true": "The account's order rate or its share of tokens is spent, and no decision is taken.",
            "after": {"cooled": "cooling_limit"},
        },
        {
            "name": "disabled",
            "true": "The policy's breaker is open or its model does not fit, and no decision is taken.",
            "after": {"probe_due": "policy_probe_interval"},
        },
    ],
    "transitions": [
        {"trigger": "rate_spent", "source": "running", "dest": "cooling"},
        {"trigger": ["policy_failed", "policy_stuck"], "source": "running", "dest": "disabled"},
        {"trigger": ["cooled", "model_replaced"], "source": "cooling", "dest": "running"},
        {"trigger": "policy_stuck", "source": "cooling", "dest": "disabled"},
        {"trigger": "probe_due", "source": "disabled", "dest": "running", "conditions": "policy_may_probe"},
        {"trigger": "probe_due", "source": "disabled", "dest": "disabled"},
        {"trigger": "model_replaced", "source": "disabled", "dest": "running"},
    ],
}
