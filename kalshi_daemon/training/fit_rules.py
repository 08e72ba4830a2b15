"""Makes the shipped model: a network that imitates the selector `rules`, marked as reference.

    python -m kalshi_daemon.training.fit_rules --seed 1 --created 2026-11-22 --output policy.onnx

It shows that the whole path from observation to ONNX to order works; it is no strategy, and production refuses it.

Rules: equal arguments give an equal file on the same machine; the date is an argument. The agreement printed is of
masked choices, as live, on samples that the fit did not see.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported: more threads add in another order

import numpy as np

from kalshi_daemon.policy.action_selector import RulesSelector
from kalshi_daemon.policy.actions import ACTION_NAMES
from kalshi_daemon.policy.features import schema_hash
from kalshi_daemon.policy.model_contract import sizes_text
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.training.network import Network, fit, to_onnx
from kalshi_daemon.training.samples import observations
from kalshi_daemon.units import CONTRACT

SIZES = (5 * CONTRACT,)
PRICING = Pricing.TAKE
BATCHES = 10_000  # of 12 samples each
EPOCHS = 40
HELD_OUT_PART = 10  # for so many batches, one that the fit does not see
HELD_OUT_SEED = 1_000_000  # added to the seed


def fit_rules(seed: int, *, batches: int, epochs: int) -> Network:
    observation, mask = observations(seed, batches, SIZES, PRICING)
    return fit(observation, mask, RulesSelector().select(observation, mask), seed=seed, epochs=epochs)


def agreement(network: Network, seed: int, batches: int) -> tuple[float, float]:
    """The share of samples on which the network chooses what `rules` does: of all, and of those where rules trades."""
    observation, mask = observations(seed, batches, SIZES, PRICING)
    chosen = np.where(mask, network.layers(observation.astype(np.float64))[2], -np.inf).argmax(axis=1)
    wanted = RulesSelector().select(observation, mask)
    equal = chosen == wanted
    return float(equal.mean()), float(equal[wanted != 0].mean())


def metadata(seed: int, created: str) -> dict[str, str]:
    """The model contract's, in full."""
    return {
        "observation_schema": schema_hash(),
        "actions": ACTION_NAMES,
        "sizes": sizes_text(SIZES),
        "pricing": str(PRICING),
        "trained_on": f"rules selector, seed {seed}",
        "created": created,
        "reference": "true",
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="fit the shipped reference model to the selector `rules`")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--created", required=True, help="the date to write into the file")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    chosen = parser.parse_args(arguments)
    network = fit_rules(chosen.seed, batches=chosen.batches, epochs=chosen.epochs)
    overall, trades = agreement(network, chosen.seed + HELD_OUT_SEED, chosen.batches // HELD_OUT_PART)
    chosen.output.write_bytes(to_onnx(network, metadata(chosen.seed, chosen.created)).SerializeToString())
    sys.stdout.write(
        f"{chosen.output}: agrees with rules on {overall:.2%} of held-out samples, {trades:.2%} of trades\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
