"""The network behind the selector `onnx`: what it loads, what it refuses, what it chooses, and that it is quiet."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from kalshi_daemon.errors import ModelRefused
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.shell.model import Model, load
from kalshi_daemon.training.fit_rules import SIZES, metadata
from kalshi_daemon.training.samples import observations

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "kalshi_daemon" / "policy" / "policy.onnx"
ALL = np.ones((1, 5), dtype=np.bool_)


def save(path: Path, nodes: list[object], *, output: tuple[str, int, list[object]], masked: bool = False) -> Path:
    """A model of the given nodes, over `observation` and, if it likes, `action_mask`."""
    inputs = [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", 52])]
    if masked:
        inputs.append(helper.make_tensor_value_info("action_mask", TensorProto.BOOL, ["n", 5]))
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info(*output)])
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, metadata(1, "2026-11-22"))
    path.write_bytes(model.SerializeToString())
    return path


def slice_columns(first: int, last: int, name: str) -> list[object]:
    """Nodes that give columns of the observation, so that a test writes the answer it wants into the observation."""
    bounds = [("starts", first), ("ends", last), ("axes", 1)]
    constants = [
        helper.make_node("Constant", [], [key], value=helper.make_tensor(key, TensorProto.INT64, [1], [value]))
        for key, value in bounds
    ]
    return [*constants, helper.make_node("Slice", ["observation", "starts", "ends", "axes"], [name])]


def run(path: Path) -> Model:
    return load(path, SIZES, Pricing.TAKE, production=False)


def logits_model(tmp_path: Path) -> Model:
    """Its logits are the first five features."""
    output = ("logits", TensorProto.FLOAT, ["n", 5])
    return run(save(tmp_path / "logits.onnx", slice_columns(0, 5, "logits"), output=output))


def saying(*values: float) -> np.ndarray:
    row = np.zeros((1, 52), dtype=np.float32)
    row[0, : len(values)] = values
    return row


def test_shipped() -> None:
    """The shipped model loads, is known by its file's hash, and is a reference that production refuses."""
    model = run(SHIPPED)
    assert (model.name, model.model) == ("onnx", hashlib.sha256(SHIPPED.read_bytes()).hexdigest())
    assert model.contract.reference
    with pytest.raises(ModelRefused, match="metadata reference is 'true'"):
        load(SHIPPED, SIZES, Pricing.TAKE, production=True)
    with pytest.raises(ModelRefused, match="metadata sizes is '5', wanted '1,5' by KALSHI_ORDER_SIZES: set it to what"):
        load(SHIPPED, (100, 500), Pricing.TAKE, production=False)


def test_chooses_the_greatest_allowed_logit(tmp_path: Path) -> None:
    """Masked argmax; ties go to the lowest index; the type is that of actions."""
    model = logits_model(tmp_path)
    forbids = np.array([[True, True, False, True, True]])
    assert model.select(saying(0, 1, 3, 2, 0), ALL).tolist() == [2]
    assert model.select(saying(0, 1, 3, 2, 0), forbids).tolist() == [3]
    assert model.select(saying(1, 1, 1, 1, 1), ALL).tolist() == [0]
    assert model.select(saying(0, 2, 1, 2, 2), ALL).tolist() == [1]
    assert model.select(saying(-3, 1, 1, 1, 1), ALL & [[True, False, False, False, False]]).tolist() == [0]
    assert model.select(saying(0), ALL).dtype == np.int64
    assert model.senseless == 0


def test_a_logit_that_is_no_number_holds(tmp_path: Path) -> None:
    """NaN is no greatest value: the market holds, and it is counted."""
    model = logits_model(tmp_path)
    assert model.select(saying(0, 5, np.nan), ALL).tolist() == [0]
    assert model.senseless == 1
    forbids = np.array([[True, True, False, True, True]])
    assert model.select(saying(0, 5, np.nan), forbids).tolist() == [0]
    assert model.senseless == 2
    rows = np.concatenate([saying(0, 1, 2), saying(0, np.nan), saying(0, 3, 2)])
    assert model.select(rows, np.repeat(ALL, 3, axis=0)).tolist() == [2, 0, 1]
    assert model.senseless == 3


def test_an_infinite_logit_is_a_number(tmp_path: Path) -> None:
    """The greatest wins; where all that is allowed is least, the lowest index does."""
    model = logits_model(tmp_path)
    assert model.select(saying(-np.inf, 1, 2, np.inf, 3), ALL).tolist() == [3]
    assert model.select(saying(-np.inf, 1, 2, 3, 4), ALL & [[True, False, False, False, False]]).tolist() == [0]
    assert model.senseless == 0


def test_action_output(tmp_path: Path) -> None:
    """A model that gives actions is held to the mask: what is forbidden or does not exist holds, counted."""
    nodes = [
        *slice_columns(0, 1, "column"),
        helper.make_node("Cast", ["column"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("Constant", [], ["one"], value=helper.make_tensor("one", TensorProto.INT64, [1], [1])),
        helper.make_node("Squeeze", ["numbers", "one"], ["action"]),
    ]
    model = run(save(tmp_path / "action.onnx", nodes, output=("action", TensorProto.INT64, ["n"])))
    forbids = np.array([[True, True, False, True, True]])
    assert model.select(saying(3), ALL).tolist() == [3]
    assert model.senseless == 0
    assert model.select(saying(2), forbids).tolist() == [0]
    assert model.select(saying(5), ALL).tolist() == [0]
    assert model.select(saying(-1), ALL).tolist() == [0]
    assert model.senseless == 3


def test_mask_input(tmp_path: Path) -> None:
    """A model that takes the mask is given it."""
    nodes = [helper.make_node("Cast", ["action_mask"], ["logits"], to=TensorProto.FLOAT)]
    path = save(tmp_path / "mask.onnx", nodes, output=("logits", TensorProto.FLOAT, ["n", 5]), masked=True)
    forbids = np.array([[True, False, False, True, False]])
    assert run(path).select(saying(0), forbids).tolist() == [0]
    assert run(path).contract.takes_mask


def test_batch_equals_rows_alone() -> None:
    """A market's action does not depend on what else is in the batch."""
    model = run(SHIPPED)
    observation, allowed = observations(9, 4, SIZES, Pricing.TAKE)
    together = model.select(observation, allowed)
    alone = [model.select(observation[row : row + 1], allowed[row : row + 1])[0] for row in range(len(observation))]
    assert together.tolist() == alone


def test_refusals(tmp_path: Path) -> None:
    """A file that is not there, is no ONNX, is too big, or fails when run is refused in one line that names it."""
    with pytest.raises(ModelRefused, match=r"none\.onnx cannot be read: No such file"):
        run(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelRefused, match=r"text\.onnx cannot be read as ONNX: [^\n]+$"):
        run(tmp_path / "text.onnx")
    with (tmp_path / "big.onnx").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(ModelRefused, match="at most 67108864 are read"):
        run(tmp_path / "big.onnx")
    beyond = helper.make_tensor("beyond", TensorProto.INT64, [5], [60] * 5)
    nodes = [
        helper.make_node("Constant", [], ["beyond"], value=beyond),
        helper.make_node("Gather", ["observation", "beyond"], ["logits"], axis=1),
    ]
    path = save(tmp_path / "fails.onnx", nodes, output=("logits", TensorProto.FLOAT, ["n", 5]))
    with pytest.raises(ModelRefused, match=r"fails\.onnx fails on an observation of zeros: [^\n]+$"):
        run(path)


QUIET = """
import os, sys, time
from pathlib import Path
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.shell.model import load
load(Path(sys.argv[1]), (500,), Pricing.TAKE, production=False)
time.sleep(0.5)
targets = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
print(sum("socket" in target for target in targets), len(list(Path("/proc/self/task").iterdir())))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("said", ["", "0"])
def test_no_telemetry(tmp_path: Path, said: str) -> None:
    """Loading a model opens no socket, writes no file, leaves no thread, even if the environment asks for telemetry."""
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(tmp_path))
    environment = {**os.environ, **places, "PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": said}
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(SHIPPED)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["0", "1"]), done.stderr
    assert list(tmp_path.rglob("*")) == []
