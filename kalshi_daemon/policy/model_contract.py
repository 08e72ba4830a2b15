"""What a model file must be, checked before it may decide (observation.md, Model contract).

| part | must be |
|---|---|
| input `observation` | float32, (any, 52) |
| input `action_mask`, optional | bool, (any, actions) |
| output `logits` or `action` | float32, (any, actions), or int64, (any) |
| metadata `observation_schema` | `features.schema_hash()` |
| metadata `actions` | the base actions' names in order |
| metadata `sizes` | the configured sizes in contracts, separated by commas |
| metadata `pricing` | the configured pricing rule |
| metadata `trained_on`, `created` | what it learnt from, and the date; any text but the empty one |
| metadata `reference` | `true` or `false`; production refuses `true` |

Rules: nothing is guessed: a part that is missing is refused like one that differs, and the message names the part, what
the model has and what is wanted. Reading the file is the shell's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from kalshi_daemon.errors import ModelRefused
from kalshi_daemon.policy.actions import ACTION_NAMES, action_count
from kalshi_daemon.policy.features import FEATURES, schema_hash
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.units import Count, contracts

FLOAT, BOOL, INTEGER = "tensor(float)", "tensor(bool)", "tensor(int64)"  # as onnxruntime names them


@frozen
class Tensor:
    """An input or output. A dimension is a number, or a name (or None) where it is free."""

    name: str
    kind: str
    shape: tuple[int | str | None, ...]


@frozen
class ModelDescription:
    """What a file says of itself."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str]


@frozen
class ModelContract:
    """A description that passed."""

    takes_mask: bool
    gives_logits: bool  # false: it gives the action itself
    trained_on: str
    created: str
    reference: bool


def sizes_text(sizes: Sequence[Count]) -> str:
    return ",".join(contracts(size) for size in sizes)


def check(model: ModelDescription, sizes: Sequence[Count], pricing: Pricing, *, production: bool) -> ModelContract:
    """Raises ModelRefused."""
    _check_metadata(model.metadata, sizes, pricing, production=production)
    actions = action_count(sizes)
    inputs = {tensor.name: tensor for tensor in model.inputs}
    if unknown := set(inputs) - {"observation", "action_mask"}:
        raise _refused("an input", min(unknown), "observation, and action_mask if it likes")
    _check_tensor("input", inputs, "observation", FLOAT, len(FEATURES))
    if "action_mask" in inputs:
        _check_tensor("input", inputs, "action_mask", BOOL, actions)
    outputs = {tensor.name: tensor for tensor in model.outputs}
    if "logits" in outputs:
        _check_tensor("output", outputs, "logits", FLOAT, actions)
    elif "action" in outputs:
        _check_tensor("output", outputs, "action", INTEGER, None)
    else:
        raise _refused("its outputs", ", ".join(outputs), "logits or action")
    return ModelContract(
        takes_mask="action_mask" in inputs,
        gives_logits="logits" in outputs,
        trained_on=model.metadata["trained_on"],
        created=model.metadata["created"],
        reference=model.metadata["reference"] == "true",
    )


SAID_BY: Final = {"sizes": "KALSHI_ORDER_SIZES", "pricing": "KALSHI_PRICING"}


def _check_metadata(metadata: Mapping[str, str], sizes: Sequence[Count], pricing: Pricing, *, production: bool) -> None:
    wanted = {
        "observation_schema": schema_hash(),
        "actions": ACTION_NAMES,
        "sizes": sizes_text(sizes),
        "pricing": str(pricing),
    }
    for key, value in wanted.items():
        if metadata.get(key) != value:
            raise _refused(f"metadata {key}", metadata.get(key), value, SAID_BY.get(key, ""))
    for key in ("trained_on", "created"):
        if not metadata.get(key):
            raise _refused(f"metadata {key}", metadata.get(key), "a text")
    reference = metadata.get("reference")
    if reference not in {"true", "false"}:
        raise _refused("metadata reference", reference, "true or false")
    if production and reference == "true":
        raise _refused("metadata reference", reference, "false in production, where the shipped example may not trade")


def _check_tensor(what: str, tensors: Mapping[str, Tensor], name: str, kind: str, width: int | None) -> None:
    """One free dimension for the markets and, where `width` is given, a second of exactly so many."""
    if name not in tensors:
        raise _refused(f"its {what}s", ", ".join(tensors), name)
    tensor = tensors[name]
    if tensor.kind != kind:
        raise _refused(f"the type of {what} {name}", tensor.kind, kind)
    wanted = ("any",) if width is None else ("any", width)
    shape = tuple(size if isinstance(size, int) else "any" for size in tensor.shape)
    if shape != wanted:
        raise _refused(f"the shape of {what} {name}", shape, wanted)


def _refused(part: str, has: object, wanted: object, said_by: str = "") -> ModelRefused:
    what = f"the model does not fit: {part} is {has!r}, wanted {wanted!r}"
    change = f" by {said_by}: set it to what the model was trained for," if said_by else ";"
    return ModelRefused(f"{what}{change} use another, or train one anew")
