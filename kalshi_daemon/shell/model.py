"""The policy's network: an ONNX file behind the selector `onnx`.

Rules:
- The only importer of onnxruntime. Its telemetry uploader is on by default and reads `ORT_DISABLE_TELEMETRY` once, when
  it is imported, so the variable is set here before that, whatever the environment says. numpy's BLAS reads
  `OPENBLAS_NUM_THREADS` when numpy is imported, which may have happened; the service's unit sets both as well.
- One thread, sequential, no spinning, CPU provider: a decision is a function of its inputs, and an idle daemon is idle.
- A file is read once: what was hashed is what runs. It is checked, and run once on zeros, before `load` returns it, so
  that a model that cannot answer never replaces one that can.
- Ties go to the lowest index. An answer that is no allowed action (a logit that is not a number, an `action` that the
  mask forbids or that does not exist) is holding, and is counted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any, Final

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime
from attrs import frozen
from numpy.typing import NDArray

from kalshi_daemon.errors import ModelRefused
from kalshi_daemon.limits import MODEL_BYTES_MAX
from kalshi_daemon.policy.action_selector import Actions, Mask, Observation, only_allowed
from kalshi_daemon.policy.actions import action_count
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.model_contract import ModelContract, ModelDescription, Tensor, check
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.units import Count

_FORBIDDEN: Final = np.float32(-np.inf)  # the logit of an action that the mask forbids


class Model:
    """A checked model. `model` is the file's SHA-256, which each order carries."""

    name = "onnx"

    def __init__(self, session: Any, contract: ModelContract, sha256: str) -> None:
        self.contract = contract
        self.model = sha256
        self.senseless = 0  # answers that were no allowed action
        self._output = "logits" if contract.gives_logits else "action"
        self._session = session

    def select(self, observation: Observation, mask: Mask) -> Actions:
        """One inference for the batch."""
        feeds: dict[str, Any] = {"observation": observation}
        if self.contract.takes_mask:
            feeds["action_mask"] = mask
        answer = self._session.run([self._output], feeds)[0]
        if self.contract.gives_logits:
            return self._greatest(answer, mask)
        chosen = only_allowed(answer, mask)
        self.senseless += int((chosen != answer).sum())
        return chosen

    def _greatest(self, logits: NDArray[np.float32], mask: Mask) -> Actions:
        """By row. What is not a number is looked for once over all of them: a maximum hands it on."""
        chosen: Actions = np.where(mask, logits, _FORBIDDEN).argmax(axis=1)
        if isnan(np.maximum.reduce(logits, axis=None)):
            senseless = np.isnan(logits).any(axis=1)
            self.senseless += int(senseless.sum())
            chosen[senseless] = 0
        return chosen


@frozen
class ModelFile:
    """A file that onnxruntime reads, and nothing more is known of: `check` has not judged it."""

    sha256: str
    size: int  # bytes
    description: ModelDescription
    session: Any


def read(path: Path) -> ModelFile:
    """Raises ModelRefused for what is no model at all."""
    content = _read(path)
    try:
        session = onnxruntime.InferenceSession(content, _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's have no other root
        raise ModelRefused(f"{path} cannot be read as ONNX: {_first_line(error)}; use another") from error
    return ModelFile(hashlib.sha256(content).hexdigest(), len(content), _describe(session), session)


def load(path: Path, sizes: Sequence[Count], pricing: Pricing, *, production: bool) -> Model:
    """Reads, checks and warms a model. Raises ModelRefused."""
    file = read(path)
    contract = check(file.description, sizes, pricing, production=production)
    model = Model(file.session, contract, file.sha256)
    try:
        observation = np.zeros((1, len(FEATURES)), dtype=np.float32)
        chosen = model.select(observation, np.ones((1, action_count(sizes)), dtype=np.bool_))
    except Exception as error:
        raise ModelRefused(f"{path} fails on an observation of zeros: {_first_line(error)}; use another") from error
    if chosen.shape != (1,) or not 0 <= int(chosen[0]) < action_count(sizes):
        raise ModelRefused(f"{path} answers {chosen!r} to one observation; wanted one action")
    return model


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MODEL_BYTES_MAX:
            raise ModelRefused(f"{path} has {path.stat().st_size} bytes; at most {MODEL_BYTES_MAX} are read")
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path} cannot be read: {error.strerror}; check KALSHI_MODEL") from error


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors: warnings about an unreadable /proc say nothing about a decision
    return options


def _describe(session: Any) -> ModelDescription:
    return ModelDescription(
        inputs=tuple(Tensor(node.name, node.type, tuple(node.shape)) for node in session.get_inputs()),
        outputs=tuple(Tensor(node.name, node.type, tuple(node.shape)) for node in session.get_outputs()),
        metadata=dict(session.get_modelmeta().custom_metadata_map),
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
