"""The nodes of a recurrent model's ONNX graph: from saved weights to a ModelProto of the same bytes every time.

Every node bears the name of what it gives. Inside, time comes first, as in training/models: T tokens, B rows, C width.
Memory: the weights once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# the oldest that say everything here, so that older runtimes read it too
OPSET, IR_VERSION = 17, 8

OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU", "bilstm": "LSTM"}
# gates in ONNX's order by their places in PyTorch's: i f g o → i o f c, r z n → z r h
GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "bilstm": (0, 3, 1, 2)}
STATES = {"rnn": ("h",), "lstm": ("h", "c"), "gru": ("h",)}

Weights = Mapping[str, NDArray[np.float32]]


class Graph:
    """Nodes, weights and borders, in the order in which they are added."""

    def __init__(self) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self._helper, self._numpy, self._types = helper, numpy_helper, TensorProto
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._weights.append(self._numpy.from_array(np.ascontiguousarray(value), name))
        return name

    def input(self, name: str, shape: list[Any], *, integer: bool = False) -> str:
        kind = self._types.INT64 if integer else self._types.FLOAT
        self._inputs.append(self._helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: list[Any]) -> None:
        self._outputs.append(self._helper.make_tensor_value_info(name, self._types.FLOAT, shape))

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """A node; the name of its first output."""
        node = self._helper.make_node(operator, inputs, list(outputs), name=outputs[0], **attributes)
        self._nodes.append(node)
        return outputs[0]

    def serialized(self) -> bytes:
        graph = self._helper.make_graph(self._nodes, "bloomery", self._inputs, self._outputs, self._weights)
        opset = [self._helper.make_opsetid("", OPSET)]
        model = self._helper.make_model(graph, producer_name="bloomery", opset_imports=opset, ir_version=IR_VERSION)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def graph_of(config: dict[str, Any], weights: Weights) -> bytes:
    """The whole graph of a saved model; `config` is its config.json."""
    graph = Graph()
    graph.input("tokens", ["rows", "tokens"], integer=True)
    for name in ("embed.weight", "head.weight"):
        if name in weights:
            graph.constant(name, weights[name])
    graph.constant("one", np.array([1], np.int64))
    graph.add("Transpose", ["tokens"], "tokens.in_time", perm=[1, 0])
    graph.add("Gather", ["embed.weight", "tokens.in_time"], "embedded")  # T, B, C
    graph.add("Transpose", ["head.weight" if "head.weight" in weights else "embed.weight"], "head", perm=[1, 0])
    (_both_ways if config["family"] == "bilstm" else _onward)(graph, config, weights)
    return graph.serialized()


def _onward(graph: Graph, config: dict[str, Any], weights: Weights) -> None:
    """Layer after layer, each from its state before to its state after."""
    x, family, left = "embedded", config["family"], []
    for n in range(config["options"]["layers"]):
        shape = [1, "rows", weights[f"layers.{n}.weight_hh"].shape[1]]
        before = [graph.input(f"state.{n}.{part}", shape) for part in STATES[family]]
        after = [f"after.{n}.{part}" for part in STATES[family]]
        left += [(name, shape) for name in after]
        more = {"linear_before_reset": 1} if family == "gru" else {}  # the reset gate as in PyTorch and cuDNN
        x = _layer(graph, family, weights, f"layers.{n}", [x, "", *before], after, **more)
    _logits(graph, x, "logits", config["vocabulary"])
    for name, shape in left:
        graph.output(name, shape)


def _both_ways(graph: Graph, config: dict[str, Any], weights: Weights) -> None:
    """Both directions from zero; from the second layer on each adds to what it read."""
    graph.input("lengths", ["rows"], integer=True)
    graph.add("Cast", ["lengths"], "ends", to=6)  # int32, as the operators want it
    graph.constant("zero", np.array([0], np.int64))
    count, vocabulary, width = config["options"]["layers"], config["vocabulary"], config["options"]["width"]
    said = {"onward": ["embedded"], "back": ["embedded"]}
    for stack, direction in (("onward", "forward"), ("back", "reverse")):
        for n in range(count):
            name, x = f"{stack}.{n}", said[stack][-1]
            found = _layer(graph, "bilstm", weights, name, [x, "ends"], [], direction=direction)
            said[stack].append(graph.add("Add", [found, x], f"{name}.sum") if n else found)
    pairs = enumerate(zip(said["onward"], said["back"], strict=True))
    both = [graph.add("Concat", list(pair), f"both.{n}", axis=-1) for n, pair in pairs]
    stacked = [graph.add("Unsqueeze", [one, "zero"], f"{one}.one") for one in both]
    graph.add("Concat", stacked, "layers.in_time", axis=0)
    graph.add("Transpose", ["layers.in_time"], "layers", perm=[0, 2, 1, 3])
    graph.output("layers", [count + 1, "rows", "tokens", 2 * width])
    for stack, layers in said.items():
        _logits(graph, layers[-1], stack, vocabulary)


def _layer(
    graph: Graph, family: str, weights: Weights, name: str, given: list[str], after: list[str], **how: Any
) -> str:
    """One layer over `given`: x (T, B, C), where rows end, the state before. Named by the layer: T, B, H."""
    own = {part: _ordered(weights[f"{name}.{part}"], family) for part in ("weight_ih", "weight_hh")}
    bias = np.concatenate([_ordered(weights[f"{name}.{part}"], family) for part in ("bias_ih", "bias_hh")])
    named = [graph.constant(f"{name}.{part}", value[None]) for part, value in {**own, "bias": bias}.items()]
    x, *rest = given
    hidden = own["weight_hh"].shape[1]
    graph.add(OPERATORS[family], [x, *named, *rest], f"{name}.said", *after, hidden_size=hidden, **how)
    return graph.add("Squeeze", [f"{name}.said", "one"], name)


def _ordered(stacked: NDArray[np.float32], family: str) -> NDArray[np.float32]:
    """Stacked gates in ONNX's order."""
    parts = np.split(stacked, len(GATES[family]))
    return np.concatenate([parts[at] for at in GATES[family]])


def _logits(graph: Graph, x: str, name: str, vocabulary: int) -> None:
    graph.add("Transpose", [x], f"{name}.hidden", perm=[1, 0, 2])
    graph.add("MatMul", [f"{name}.hidden", "head"], name)
    graph.output(name, ["rows", "tokens", vocabulary])
