"""A batch that was decided, with all that it was decided on: what has to be known to decide it again."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from kalshi_daemon.policy.action_selector import Actions, Mask, Observation, Selector
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.units import Milliseconds


@frozen
class DecidedBatch:
    """`first_decision` is the number of the first market's; `now_ms` the exchange's time."""

    number: int
    first_decision: int
    now_ms: Milliseconds
    increases_allowed: bool
    selector: Selector
    markets: Sequence[MarketInput]
    account: AccountInput
    observation: Observation
    allowed: Mask
    actions: Actions
