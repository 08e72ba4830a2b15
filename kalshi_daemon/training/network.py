"""A small network, 52-64-64-actions with tanh, fitted in numpy and written as ONNX.

Rules: float64 while fitting, one seeded generator, one BLAS thread where the caller saw to it, so that a seed gives the
same weights again on the same machine. The features' scales are folded into the first layer: the file takes raw
observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from attrs import define
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

Matrix = NDArray[np.float64]
HIDDEN = 64
MINIBATCH = 256
RATE = 3e-3
DECAYS = (0.9, 0.999)  # Adam's
DEVIATION_MIN = 0.02  # a feature that hardly varies is not blown up
OPSET, IR_VERSION = 17, 10


@define
class Network:
    """Weights and biases in turn, input to output: w1, b1, w2, b2, w3, b3."""

    parameters: list[Matrix]

    def layers(self, observation: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """Both hidden layers and the logits."""
        w1, b1, w2, b2, w3, b3 = self.parameters
        first = np.tanh(observation @ w1 + b1)
        second = np.tanh(first @ w2 + b2)
        return first, second, second @ w3 + b3


def fit(
    observation: NDArray[np.float32], mask: NDArray[np.bool_], actions: NDArray[np.int64], *, seed: int, epochs: int
) -> Network:
    """Cross-entropy of the masked softmax, by Adam, the rate falling to nothing along a cosine."""
    rng = np.random.default_rng(seed)
    inputs = observation.astype(np.float64)
    mean, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), DEVIATION_MIN)
    inputs = (inputs - mean) / scale
    widths = (inputs.shape[1], HIDDEN, HIDDEN, mask.shape[1])
    parameters: list[Matrix] = []
    for before, after in pairwise(widths):
        parameters += [rng.normal(0, before**-0.5, (before, after)), np.zeros(after)]
    network = Network(parameters)
    moments = [(np.zeros_like(each), np.zeros_like(each)) for each in parameters]
    steps = epochs * (len(inputs) // MINIBATCH)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(inputs))
        for start in range(0, len(inputs) - MINIBATCH + 1, MINIBATCH):
            rows = order[start : start + MINIBATCH]
            step += 1
            gradients = _gradients(network, inputs[rows], mask[rows], actions[rows])
            _adam(network, gradients, moments, step, RATE * (1 + np.cos(np.pi * step / steps)) / 2)
    network.parameters[1] = network.parameters[1] - (mean / scale) @ network.parameters[0]
    network.parameters[0] = network.parameters[0] / scale[:, None]
    return network


def _gradients(network: Network, inputs: Matrix, mask: NDArray[np.bool_], actions: NDArray[np.int64]) -> list[Matrix]:
    first, second, logits = network.layers(inputs)
    _, _, w2, _, w3, _ = network.parameters
    masked = np.where(mask, logits, -np.inf)
    odds = np.exp(masked - masked.max(axis=1, keepdims=True))
    third_error = odds / odds.sum(axis=1, keepdims=True)
    third_error[np.arange(len(actions)), actions] -= 1
    third_error /= len(actions)
    second_error = (third_error @ w3.T) * (1 - second**2)
    first_error = (second_error @ w2.T) * (1 - first**2)
    return [
        inputs.T @ first_error,
        first_error.sum(axis=0),
        first.T @ second_error,
        second_error.sum(axis=0),
        second.T @ third_error,
        third_error.sum(axis=0),
    ]


def _adam(
    network: Network, gradients: list[Matrix], moments: list[tuple[Matrix, Matrix]], step: int, rate: float
) -> None:
    """One step, in place."""
    slow, slower = DECAYS
    for index, gradient in enumerate(gradients):
        first, second = moments[index]
        first += (1 - slow) * (gradient - first)
        second += (1 - slower) * (gradient**2 - second)
        change = (first / (1 - slow**step)) / (np.sqrt(second / (1 - slower**step)) + 1e-8)
        network.parameters[index] -= rate * change


def to_onnx(network: Network, metadata: Mapping[str, str]) -> ModelProto:
    """Input `observation` (any, features), output `logits` (any, actions), float32; checked before it is returned."""
    names = ("w1", "b1", "w2", "b2", "w3", "b3")
    weights = [
        numpy_helper.from_array(each.astype(np.float32), name)
        for each, name in zip(network.parameters, names, strict=True)
    ]
    nodes = [
        helper.make_node("Gemm", ["observation", "w1", "b1"], ["sum1"]),
        helper.make_node("Tanh", ["sum1"], ["hidden1"]),
        helper.make_node("Gemm", ["hidden1", "w2", "b2"], ["sum2"]),
        helper.make_node("Tanh", ["sum2"], ["hidden2"]),
        helper.make_node("Gemm", ["hidden2", "w3", "b3"], ["logits"]),
    ]
    width, actions = network.parameters[0].shape[0], network.parameters[5].shape[0]
    observation = helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["markets", width])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["markets", actions])
    graph = helper.make_graph(nodes, "policy", [observation], [logits], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model, full_check=True)
    return model
