"""The selectors that need no model."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.policy.action_selector import (
    HoldSelector,
    RulesSelector,
    choose_selector,
    only_allowed,
)
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.observation_adapter import observe
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.training.samples import batches_of

ALL = np.ones((1, 5), dtype=np.bool_)
CALM = {"yes_mid": 0.5, "yes_spread": 0.02}
RISING = {**CALM, "volume_imbalance": 0.8, "bid_ask_depth_ratio": 0.5}
FALLING = {**CALM, "volume_imbalance": -0.8, "bid_ask_depth_ratio": -0.5}


def observation(**rows: float) -> np.ndarray:
    return np.array([[rows.get(name, 0.0) for name in FEATURES]], dtype=np.float32)


def test_hold() -> None:
    """Disabled means no trades."""
    assert HoldSelector().select(observation(**RISING), ALL).tolist() == [0]


def test_rules_take_the_first_size() -> None:
    """With more sizes the index of a base moves on; a forbidden choice is holding."""
    allowed = np.ones((1, 13), dtype=np.bool_)
    assert RulesSelector().select(observation(**FALLING), allowed).tolist() == [7]
    allowed[0, 7] = False
    assert RulesSelector().select(observation(**FALLING), allowed).tolist() == [0]


def test_rules_trade_on_random_books() -> None:
    """On books in the state of live ones each action is chosen now and then, and none that the mask forbids."""
    counts = np.zeros(5, dtype=int)
    for markets, account, now_ms in batches_of(Random(5), 160):
        allowed = mask(markets, (500,), Pricing.TAKE, increases_allowed=True)
        chosen = RulesSelector().select(observe(markets, account, now_ms), allowed)
        assert allowed[np.arange(len(chosen)), chosen].all()
        counts += np.bincount(chosen, minlength=5)
    assert (counts >= 10).all(), counts


def test_only_allowed() -> None:
    """What is forbidden or does not exist, below and above, is holding."""
    allowed = np.array([[True, False, True]] * 5)
    assert only_allowed(np.array([0, 1, 2, 3, -1]), allowed).tolist() == [0, 0, 2, 0, 0]


def test_by_name() -> None:
    """Each name gives its selector; `onnx` needs its model; an unknown name is an error that lists the known ones."""
    for name in ("hold", "rules"):
        selector = choose_selector(name)
        assert (selector.name, selector.model) == (name, name)
    hold = HoldSelector()
    assert choose_selector("onnx", model=hold) is hold
    with pytest.raises(ConfigurationError, match="needs a model"):
        choose_selector("onnx")
    with pytest.raises(ConfigurationError, match="no selector 'disabled'; KALSHI_POLICY may be onnx, hold"):
        choose_selector("disabled")
