"""`kalshi-daemon model show | check`: what an ONNX file says of itself, and whether it may decide.

Rules: the file, the sizes, the pricing and the environment are the variables that `run` reads, each alone, so that no
key is needed. `check` is what `run` does before a model decides, the inference on zeros included.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalshi_daemon.standard_streams import say

if TYPE_CHECKING:
    from kalshi_daemon.policy.model_contract import Tensor


def add_model(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    model = commands.add_parser("model", help="what a model file is, and whether it may decide")
    actions = model.add_subparsers(required=True, metavar="ACTION")
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("file", type=Path, nargs="?", metavar="FILE", help="default: KALSHI_MODEL, or the shipped one")
    show = actions.add_parser("show", parents=[which], help="its tensors, what it says of itself, and the verdicts")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    show.set_defaults(run=_show)
    check = actions.add_parser("check", parents=[which], help="the verdict alone; the exit code is that of `run`")
    check.set_defaults(run=_check)


def _value(name: str) -> Any:
    from kalshi_daemon.config import PREFIX, VARIABLES

    return VARIABLES[PREFIX + name].value(os.environ)


def _verdict(path: Path, *, production: bool) -> str:
    """Empty for a model that may decide; else why not."""
    from kalshi_daemon.errors import ModelRefused
    from kalshi_daemon.policy.pricing import Pricing
    from kalshi_daemon.shell.model import load

    try:
        load(path, _value("ORDER_SIZES"), Pricing(_value("PRICING")), production=production)
    except ModelRefused as refused:
        return str(refused)
    return ""


def _show(chosen: argparse.Namespace) -> int:
    import msgspec

    from kalshi_daemon.policy.features import schema_hash
    from kalshi_daemon.shell.model import read

    path: Path = chosen.file or _value("MODEL")
    file = read(path)
    about = file.description
    verdicts = {name: _verdict(path, production=name == "production") for name in ("demo", "production")}
    if chosen.json:
        told = {
            "file": str(path),
            "sha256": file.sha256,
            "bytes": file.size,
            "inputs": [_tensor(each) for each in about.inputs],
            "outputs": [_tensor(each) for each in about.outputs],
            "metadata": dict(about.metadata),
            "observation_schema_here": schema_hash(),
            "refused": verdicts,
        }
        return say(msgspec.json.encode(told).decode())
    lines = [f"file        {path}", f"sha256      {file.sha256}", f"size        {file.size:,} bytes"]
    lines += [f"input       {_text(each)}" for each in about.inputs]
    lines += [f"output      {_text(each)}" for each in about.outputs]
    lines += [f"{name:<11} {value}" for name, value in sorted(about.metadata.items())]
    lines += [f"{name:<11} {f'refused: {why}' if why else 'may decide'}" for name, why in verdicts.items()]
    return say("\n".join(lines))


def _shape(tensor: Tensor) -> Sequence[int | str]:
    return [size if isinstance(size, int) else "any" for size in tensor.shape]


def _tensor(tensor: Tensor) -> dict[str, object]:
    return {"name": tensor.name, "type": tensor.kind, "shape": _shape(tensor)}


def _text(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.kind} ({', '.join(map(str, _shape(tensor)))})"


def _check(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.errors import ModelRefused
    from kalshi_daemon.hosts import Environment

    path: Path = chosen.file or _value("MODEL")
    environment = _value("ENVIRONMENT")
    if why := _verdict(path, production=environment is Environment.PRODUCTION):
        raise ModelRefused(why)
    return say(f"{path} may decide in {environment}")
