"""What strict validation finds wrong with an observation, and that nothing is wrong with those that are right."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from attrs import evolve
from hypothesis import assume, given
from told_inputs import Look, looks

from kalshi_daemon.policy.anomalies import anomaly
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.observation_adapter import observe_raw
from kalshi_daemon.training.samples import batches_of


def one():
    """A market whose window is full, and its row."""
    for markets, account, now_ms in batches_of(Random(3), 20):
        for market in markets:
            if len(market.history.closed_ms) > 5 and market.book.yes.prices and market.book.no.prices:
                return market, observe_raw([market], account, now_ms)[0]
    raise AssertionError("no market of the sample has a window")


@given(looks())
def test_a_look_at_a_sound_book_has_no_anomaly(look: Look) -> None:
    market, account = look.inputs()
    assume(not market.book.crossed)
    assert anomaly(market, observe_raw([market], account, look.now_ms)[0]) == ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("yes_mid", float("nan"), "yes_mid is nan, allowed 0.01 to 0.99"),
        ("activity", float("inf"), "activity is inf, allowed 0 to 1"),
        ("price_momentum", -1.5, "price_momentum is -1.5, allowed -1 to 1"),
        ("last_trade_offset", 2.25, "last_trade_offset is 2.25, allowed -2 to 2"),
    ],
)
def test_a_feature_out_of_its_range_is_named_with_its_value(name: str, value: float, said: str) -> None:
    market, row = one()
    row[FEATURES.index(name)] = value
    assert anomaly(market, row) == said


def test_sums_that_are_not_those_of_the_levels_are_found() -> None:
    """On either leg: a total, the order of the levels, the largest of them."""
    market, row = one()
    market.book.no.total += 100
    assert anomaly(market, row).startswith("the NO levels add up to ")
    market, row = one()
    market.book.yes.prices.reverse()
    assert len(market.book.yes.prices) > 1
    assert anomaly(market, row) == "the YES levels are not in order"
    market, row = one()
    market.book.yes._largest = 1
    assert anomaly(market, row).endswith(", and the book says 0.01")


def test_time_that_goes_back_is_found() -> None:
    market, row = one()
    market.history.closed_ms[-1] = market.history.now_ms + 70
    assert anomaly(market, row) == "time goes back by 70 ms in the window"
    assert np.isfinite(row).all()
    assert anomaly(evolve(market), row)
