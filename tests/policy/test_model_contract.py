"""What a model must be, one refusal a part."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from kalshi_daemon.errors import ModelRefused
from kalshi_daemon.policy.features import schema_hash
from kalshi_daemon.policy.model_contract import ModelContract, ModelDescription, Tensor, check, sizes_text
from kalshi_daemon.policy.pricing import Pricing

METADATA = {
    "observation_schema": schema_hash(),
    "actions": "HOLD,BUY_YES,SELL_YES,BUY_NO,SELL_NO",
    "sizes": "5",
    "pricing": "take",
    "trained_on": "rules",
    "created": "2026-11-22",
    "reference": "false",
}
FITS = ModelDescription(
    inputs=(Tensor("observation", "tensor(float)", ("n", 52)),),
    outputs=(Tensor("logits", "tensor(float)", ("n", 5)),),
    metadata=METADATA,
)
MASK = Tensor("action_mask", "tensor(bool)", (None, 5))
ACTION = Tensor("action", "tensor(int64)", ("n",))


def run(model: ModelDescription, *, production: bool = False) -> ModelContract:
    return check(model, (500,), Pricing.TAKE, production=production)


def test_fits() -> None:
    """Logits or an action, with or without the mask; what it was trained on is told."""
    assert run(FITS, production=True) == ModelContract(
        takes_mask=False, gives_logits=True, trained_on="rules", created="2026-11-22", reference=False
    )
    other = attrs.evolve(FITS, inputs=(MASK, *FITS.inputs), outputs=(ACTION,))
    assert (run(other).takes_mask, run(other).gives_logits) == (True, False)


def test_sizes() -> None:
    """Sizes are written in contracts, and more of them make more actions."""
    assert sizes_text((50, 500)) == "0.5,5"
    two = attrs.evolve(
        FITS, outputs=(Tensor("logits", "tensor(float)", ("n", 9)),), metadata={**METADATA, "sizes": "0.5,5"}
    )
    assert check(two, (50, 500), Pricing.TAKE, production=False).gives_logits


@pytest.mark.parametrize("key", METADATA)
def test_metadata_missing(key: str) -> None:
    """No part of the metadata has a default."""
    metadata = {name: value for name, value in METADATA.items() if name != key}
    with pytest.raises(ModelRefused, match=f"metadata {key} is None"):
        run(attrs.evolve(FITS, metadata=metadata))


@pytest.mark.parametrize("key", METADATA)
def test_metadata_differs(key: str) -> None:
    """A part that differs is named, with what it has."""
    value = "" if key in {"trained_on", "created"} else "another"
    with pytest.raises(ModelRefused, match=f"the model does not fit: metadata {key} is '{value}'"):
        run(attrs.evolve(FITS, metadata={**METADATA, key: value}))


def test_reference() -> None:
    """The shipped example may run, and not in production."""
    example = attrs.evolve(FITS, metadata={**METADATA, "reference": "true"})
    assert run(example).reference
    with pytest.raises(ModelRefused, match="metadata reference is 'true', wanted 'false in production"):
        run(example, production=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ()}, "its inputs is '', wanted 'observation'"),
        ({"inputs": (*FITS.inputs, Tensor("state", "tensor(float)", (1,)))}, "an input is 'state'"),
        ({"inputs": (Tensor("observation", "tensor(double)", ("n", 52)),)}, "the type of input observation is"),
        ({"inputs": (Tensor("observation", "tensor(float)", ("n", 51)),)}, r"the shape of input observation .*51"),
        ({"inputs": (Tensor("observation", "tensor(float)", (1, 52)),)}, r"the shape of input observation .*\(1, 52\)"),
        ({"inputs": (*FITS.inputs, Tensor("action_mask", "tensor(float)", ("n", 5)))}, "the type of input action_mask"),
        (
            {"inputs": (*FITS.inputs, Tensor("action_mask", "tensor(bool)", ("n", 21)))},
            "the shape of input action_mask",
        ),
        ({"outputs": (Tensor("q", "tensor(float)", ("n", 5)),)}, "its outputs is 'q', wanted 'logits or action'"),
        ({"outputs": (Tensor("logits", "tensor(float)", ("n", 21)),)}, "the shape of output logits .*21"),
        ({"outputs": (Tensor("logits", "tensor(float16)", ("n", 5)),)}, "the type of output logits"),
        ({"outputs": (Tensor("action", "tensor(int32)", ("n",)),)}, "the type of output action"),
        ({"outputs": (Tensor("action", "tensor(int64)", ("n", 1)),)}, "the shape of output action"),
    ],
)
def test_tensors(changes: dict[str, Any], message: str) -> None:
    """Names, types and shapes are held to the letter."""
    with pytest.raises(ModelRefused, match=message):
        run(attrs.evolve(FITS, **changes))
