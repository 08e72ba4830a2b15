"""Selectors: from observations and masks to actions. Four, by name.

| name | chooses |
|---|---|
| `onnx` | the policy: the allowed action with the greatest logit (`shell/model.py`) |
| `hold` | nothing, ever: what "disabled" means |
| `scripted` | what it was told to, one action a decision, then nothing; for trials |
| `rules` | a small readable baseline, which the shipped model imitates |

Rules: a selector is a function of its inputs (`scripted` of how many it has had as well), and never chooses what the
mask forbids: a forbidden choice is holding. An unknown name is an error at start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.policy.actions import Base
from kalshi_daemon.policy.features import FEATURES

Observation = NDArray[np.float32]  # (markets, 52)
Mask = NDArray[np.bool_]  # (markets, actions)
Actions = NDArray[np.int64]  # (markets,)

# The thresholds of `rules`, in the features' own scales.
SIGNAL_MIN = 0.55
SPREAD_MAX = 0.045
MID_MIN, MID_MAX = 0.05, 0.95
POSITION_MAX = 0.195  # below 20 contracts
PROFIT_TAKEN, LOSS_CUT = 0.10, -0.15


class Selector(Protocol):
    """`model` is what is written on each order as its model; `senseless` counts answers that were no allowed action."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def senseless(self) -> int: ...
    def select(self, observation: Observation, mask: Mask) -> Actions: ...


class HoldSelector:
    name = model = "hold"
    senseless = 0

    def select(self, observation: Observation, mask: Mask) -> Actions:  # noqa: ARG002 - a selector takes both
        return np.zeros(len(observation), dtype=np.int64)


class ScriptedSelector:
    """The next of its actions for each decision, whatever is seen. What the mask forbids is used up, and counted."""

    name = model = "scripted"

    def __init__(self, script: Sequence[int]) -> None:
        self.senseless = 0
        self._script = iter(script)

    def select(self, observation: Observation, mask: Mask) -> Actions:
        wanted = np.array([next(self._script, 0) for _ in observation], dtype=np.int64)
        chosen = only_allowed(wanted, mask)
        self.senseless += int((chosen != wanted).sum())
        return chosen


class RulesSelector:
    """Goes with the pressure on the book while the spread is small, takes profits, cuts losses, otherwise holds.

    The pressure is what the sizes at the best prices, the depth near them and the last second's move say together.
    """

    name = model = "rules"
    senseless = 0

    def select(self, observation: Observation, mask: Mask) -> Actions:
        row = dict(zip(FEATURES, observation.T.astype(np.float64), strict=True))
        signal = 0.6 * row["volume_imbalance"] + 0.4 * row["bid_ask_depth_ratio"] + 0.5 * row["price_momentum"]
        position, unrealised, mid = row["this_position"], row["this_unrealized"], row["yes_mid"]
        rising, falling = signal > SIGNAL_MIN, signal < -SIGNAL_MIN
        enters = (row["yes_spread"] < SPREAD_MAX) & (mid > MID_MIN) & (mid < MID_MAX) & (abs(position) < POSITION_MAX)
        leaves = (unrealised > PROFIT_TAKEN) | (unrealised < LOSS_CUT)
        bases = np.select(
            [
                (position > 0) & (leaves | falling),
                (position < 0) & (leaves | rising),
                (position >= 0) & enters & rising,
                (position <= 0) & enters & falling,
            ],
            [Base.SELL_YES, Base.SELL_NO, Base.BUY_YES, Base.BUY_NO],
            default=Base.HOLD,
        ).astype(np.int64)
        sizes = (mask.shape[1] - 1) // 4
        return only_allowed(np.where(bases == Base.HOLD, 0, 1 + (bases - 1) * sizes), mask)  # the first size


def only_allowed(actions: Actions, mask: Mask) -> Actions:
    """The same actions, but for holding where the mask forbids, or there is no such action."""
    known = (actions >= 0) & (actions < mask.shape[1])
    indexes = np.where(known, actions, 0)
    return np.where(known & mask[np.arange(len(actions)), indexes], actions, 0)


def choose_selector(name: str, *, model: Selector | None = None, script: Sequence[int] = ()) -> Selector:
    """`model` is the loaded model, for `onnx`. Raises ConfigurationError."""
    if name == "onnx":
        if model is None:
            raise ConfigurationError("the selector 'onnx' needs a model; set KALSHI_MODEL to its file")
        return model
    if name == "hold":
        return HoldSelector()
    if name == "rules":
        return RulesSelector()
    if name == "scripted":
        return ScriptedSelector(script)
    raise ConfigurationError(f"there is no selector {name!r}; KALSHI_POLICY may be onnx, hold, rules or scripted")
