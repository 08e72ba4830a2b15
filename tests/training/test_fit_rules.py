"""Fitting the shipped model: deterministic, exported whole, and what ships is what the code says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kalshi_daemon.policy.action_selector import RulesSelector
from kalshi_daemon.policy.features import schema_hash
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.observation_adapter import observe
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.shell.model import load
from kalshi_daemon.training.fit_rules import PRICING, SIZES, agreement, fit_rules, main, metadata
from kalshi_daemon.training.live_books import CrowdBooks, LiveBook
from kalshi_daemon.training.network import Network, _gradients, fit, to_onnx
from kalshi_daemon.training.samples import BATCH, observations
from kalshi_daemon.units import DOLLAR

SHIPPED = Path(__file__).parents[2] / "kalshi_daemon" / "policy" / "policy.onnx"
TINY = ["--seed", "3", "--created", "2026-11-22", "--batches", "40", "--epochs", "2"]


def test_refit_is_deterministic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal arguments give an equal file; another seed gives another; the agreement is printed; the contract is met."""
    first, second, other = (tmp_path / name for name in ("a.onnx", "b.onnx", "c.onnx"))
    main([*TINY, "--output", str(first)])
    assert "agrees with rules on" in capsys.readouterr().out
    main([*TINY, "--output", str(second)])
    main([*TINY, "--output", str(other), "--seed", "4"])
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    contract = load(first, SIZES, PRICING, production=False).contract
    assert (contract.trained_on, contract.created, contract.reference) == ("rules selector, seed 3", "2026-11-22", True)


def test_a_short_fit_already_agrees() -> None:
    """Few samples and epochs imitate most choices: the labels are learnable, and the fit goes downhill."""
    network = fit_rules(1, batches=600, epochs=8)
    overall, trades = agreement(network, 2, 100)
    assert overall > 0.88
    assert trades > 0.4  # holding always would be 0


def test_gradients_are_those_of_the_loss() -> None:
    """Each layer's gradient equals the difference of the masked cross-entropy, worked out literally."""
    rng = np.random.default_rng(1)
    inputs, actions = rng.normal(size=(7, 3)), rng.integers(0, 2, 7)
    allowed = np.ones((7, 3), dtype=np.bool_)
    allowed[::2, 2] = False
    network = Network([rng.normal(size=shape) for shape in ((3, 4), 4, (4, 4), 4, (4, 3), 3)])

    def loss() -> float:
        logits = np.where(allowed, network.layers(inputs)[2], -np.inf)
        total = np.log(np.exp(logits).sum(axis=1))
        return float((total - logits[np.arange(7), actions]).mean())

    step = 1e-6
    for parameter, gradient in zip(network.parameters, _gradients(network, inputs, allowed, actions), strict=True):
        at = tuple(0 for _ in parameter.shape)
        before = loss()
        parameter[at] += step
        assert (loss() - before) / step == pytest.approx(gradient[at], abs=1e-4)
        parameter[at] -= step


def test_scales_are_folded_in() -> None:
    """The network takes raw observations: a column far from 0 is learnt as well as a small one."""
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(2_048, 4)).astype(np.float32)
    actions = (inputs[:, 0] > 0).astype(np.int64)
    inputs[:, 0] = inputs[:, 0] / 10 + 1.5
    allowed = np.ones((2_048, 2), dtype=np.bool_)
    network = fit(inputs, allowed, actions, seed=1, epochs=20)
    chosen = network.layers(inputs.astype(np.float64))[2].argmax(axis=1)
    assert (chosen == actions).mean() > 0.98


def test_export() -> None:
    """The file is opset 17 of version 10, carries the metadata, and holds the weights as float32."""
    rng = np.random.default_rng(3)
    network = Network([rng.normal(size=shape) for shape in ((52, 64), 64, (64, 64), 64, (64, 5), 5)])
    model = to_onnx(network, metadata(1, "2026-11-22"))
    assert (model.ir_version, [(each.domain, each.version) for each in model.opset_import]) == (10, [("", 17)])
    assert {each.key: each.value for each in model.metadata_props} == metadata(1, "2026-11-22")
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert (stored["w1"] == network.parameters[0].astype(np.float32)).all()
    assert all(each.dtype == np.float32 for each in stored.values())


def test_samples() -> None:
    """A seed gives its samples again; they are of the daemon's shapes, and every action is allowed now and then."""
    observation, allowed = observations(1, 20, SIZES, PRICING)
    again, _ = observations(1, 20, SIZES, PRICING)
    other, _ = observations(2, 20, SIZES, PRICING)
    assert observation.shape == (20 * BATCH, 52)
    assert observation.tobytes() == again.tobytes() != other.tobytes()
    assert allowed.mean(axis=0).min() > 0.1


def test_shipped_metadata() -> None:
    """The shipped file was made for these formulas and is marked as reference."""
    stored = {each.key: each.value for each in onnx.load(SHIPPED).metadata_props}
    assert stored == metadata(1, "2026-11-22")
    assert stored["observation_schema"] == schema_hash()
    assert stored["reference"] == "true"


def test_shipped_agrees_with_rules() -> None:
    """Run by onnxruntime on samples that the fit did not see, the shipped file chooses what `rules` does."""
    model = load(SHIPPED, SIZES, Pricing.TAKE, production=False)
    observation, allowed = observations(77, 500, SIZES, PRICING)
    wanted = RulesSelector().select(observation, allowed)
    equal = model.select(observation, allowed) == wanted
    assert equal.mean() >= 0.95
    assert equal[wanted != 0].mean() >= 0.93
    assert (np.bincount(wanted, minlength=5) > 50).all()


def test_shipped_trades_in_the_crowd() -> None:
    """Flat in the demo's markets, the shipped file buys both sides now and then, nearly always where `rules` would."""
    model = load(SHIPPED, SIZES, PRICING, production=False)
    crowd = CrowdBooks(Random(5))
    chosen, wanted = [], []
    for _ in range(400):
        crowd.stir(1_000)
        markets = [market_of(live) for live in crowd.books.values()]
        observation = observe(markets, AccountInput(DOLLAR, DOLLAR, ()), crowd.now_ms)
        allowed = mask(markets, SIZES, PRICING, increases_allowed=True)
        chosen += model.select(observation, allowed).tolist()
        wanted += RulesSelector().select(observation, allowed).tolist()
    trades = [mine == theirs for mine, theirs in zip(chosen, wanted, strict=True) if theirs]
    assert min(chosen.count(1), chosen.count(3)) >= 40
    assert sum(trades) / len(trades) >= 0.8


def market_of(live: LiveBook) -> MarketInput:
    return MarketInput(
        market=live.book.market,
        book=live.book,
        history=live.history,
        last_trade=None,
        fee_multiplier_ppm=1_000_000,
        position=0,
        cost=0,
        orders=(),
        reducing=0,
        grid=live.grid,
        usable=True,
        closing=False,
        unknown=False,
    )
