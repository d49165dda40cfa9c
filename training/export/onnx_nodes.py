"""The nodes of a recurrent model's ONNX graph: from saved weights to a ModelProto, with the same bytes every time.

Every node is named after its first output. Inside, time comes first, as in training/models: T tokens, B rows, C width.
Memory: the weights once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.models.base import SavedConfig

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

# the oldest versions that have every operator used here, so that older runtimes can read the file
OPSET, IR_VERSION = 17, 8

OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU", "bilstm": "LSTM"}
# for each gate in ONNX's order, its index in PyTorch's: i f g o → i o f c, r z n → z r h
GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "bilstm": (0, 3, 1, 2)}
STATES = {"rnn": ("h",), "lstm": ("h", "c"), "gru": ("h",)}

Attribute = int | str | list[int]
Dimensions = list[int | str]
"""The shape of an input or output; a name stands for any number."""
Weights = Mapping[str, NDArray[np.float32]]


class Graph:
    """Nodes, weights, inputs and outputs, in the order in which they are added."""

    def __init__(self) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self._helper = helper
        self._numpy = numpy_helper
        self._types = TensorProto
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def constant(self, name: str, value: NDArray[np.float32 | np.int64]) -> str:
        self._weights.append(self._numpy.from_array(np.ascontiguousarray(value), name))
        return name

    def input(self, name: str, shape: Dimensions, *, integer: bool = False) -> str:
        element = self._types.INT64 if integer else self._types.FLOAT
        self._inputs.append(self._helper.make_tensor_value_info(name, element, shape))
        return name

    def output(self, name: str, shape: Dimensions) -> None:
        self._outputs.append(self._helper.make_tensor_value_info(name, self._types.FLOAT, shape))

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Attribute) -> str:
        """Add a node; returns the name of its first output."""
        node = self._helper.make_node(operator, inputs, list(outputs), name=outputs[0], **attributes)
        self._nodes.append(node)
        return outputs[0]

    def serialized(self) -> bytes:
        graph = self._helper.make_graph(self._nodes, "bloomery", self._inputs, self._outputs, self._weights)
        opset = [self._helper.make_opsetid("", OPSET)]
        model = self._helper.make_model(graph, producer_name="bloomery", opset_imports=opset, ir_version=IR_VERSION)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def serialize_graph(config: SavedConfig, weights: Weights) -> bytes:
    """The complete graph of a saved model; `config` is its config.json."""
    graph = Graph()
    graph.input("tokens", ["rows", "tokens"], integer=True)
    for name in ("embed.weight", "head.weight"):
        if name in weights:
            graph.constant(name, weights[name])
    graph.constant("one", np.array([1], np.int64))
    graph.add("Transpose", ["tokens"], "tokens.in_time", perm=[1, 0])
    graph.add("Gather", ["embed.weight", "tokens.in_time"], "embedded")  # T, B, C
    graph.add("Transpose", ["head.weight" if "head.weight" in weights else "embed.weight"], "head", perm=[1, 0])
    add_layers = _add_bidirectional if config["family"] == "bilstm" else _add_forward
    add_layers(graph, config, weights)
    return graph.serialized()


def _add_forward(graph: Graph, config: SavedConfig, weights: Weights) -> None:
    """One layer after another, each from its initial state to its final state."""
    x = "embedded"
    family = config["family"]
    states: list[tuple[str, Dimensions]] = []
    for n in range(config["options"]["layers"]):
        shape: Dimensions = [1, "rows", weights[f"layers.{n}.weight_hh"].shape[1]]
        before = [graph.input(f"state.{n}.{part}", shape) for part in STATES[family]]
        after = [f"after.{n}.{part}" for part in STATES[family]]
        states += [(name, shape) for name in after]
        # the reset gate as in PyTorch and cuDNN
        attributes: dict[str, Attribute] = {"linear_before_reset": 1} if family == "gru" else {}
        x = _add_layer(graph, family, weights, f"layers.{n}", [x, "", *before], after, **attributes)
    _add_logits(graph, x, "logits", config["vocabulary"])
    for name, shape in states:
        graph.output(name, shape)


def _add_bidirectional(graph: Graph, config: SavedConfig, weights: Weights) -> None:
    """Both directions from a zero state; from the second layer on each layer adds its inputs to its outputs."""
    graph.input("lengths", ["rows"], integer=True)
    graph.add("Cast", ["lengths"], "ends", to=6)  # int32, which the operators require
    graph.constant("zero", np.array([0], np.int64))
    count = config["options"]["layers"]
    width = config["options"]["width"]
    layers = {"onward": ["embedded"], "back": ["embedded"]}
    for stack, direction in (("onward", "forward"), ("back", "reverse")):
        for n in range(count):
            name = f"{stack}.{n}"
            x = layers[stack][-1]
            hidden = _add_layer(graph, "bilstm", weights, name, [x, "ends"], [], direction=direction)
            layers[stack].append(graph.add("Add", [hidden, x], f"{name}.sum") if n else hidden)
    directions = enumerate(zip(layers["onward"], layers["back"], strict=True))
    both = [graph.add("Concat", [forward, backward], f"both.{n}", axis=-1) for n, (forward, backward) in directions]
    stacked = [graph.add("Unsqueeze", [name, "zero"], f"{name}.one") for name in both]
    graph.add("Concat", stacked, "layers.in_time", axis=0)
    graph.add("Transpose", ["layers.in_time"], "layers", perm=[0, 2, 1, 3])
    graph.output("layers", [count + 1, "rows", "tokens", 2 * width])
    for stack, outputs in layers.items():
        _add_logits(graph, outputs[-1], stack, config["vocabulary"])


def _add_layer(
    graph: Graph,
    family: str,
    weights: Weights,
    name: str,
    inputs: list[str],
    states: list[str],
    **attributes: Attribute,
) -> str:
    """Add one layer. `inputs`: x (T, B, C), the rows' lengths, the initial state; `states`: names of the final state.

    Returns the name of its outputs, T, B, H: `name`.
    """
    matrices = {part: _ordered(weights[f"{name}.{part}"], family) for part in ("weight_ih", "weight_hh")}
    bias = np.concatenate([_ordered(weights[f"{name}.{part}"], family) for part in ("bias_ih", "bias_hh")])
    parameters = [graph.constant(f"{name}.{part}", value[None]) for part, value in {**matrices, "bias": bias}.items()]
    x, *optional = inputs
    hidden_size = matrices["weight_hh"].shape[1]
    graph.add(
        OPERATORS[family],
        [x, *parameters, *optional],
        f"{name}.said",
        *states,
        hidden_size=hidden_size,
        **attributes,
    )
    return graph.add("Squeeze", [f"{name}.said", "one"], name)


def _ordered(stacked: NDArray[np.float32], family: str) -> NDArray[np.float32]:
    """Stacked gates in ONNX's order."""
    parts = np.split(stacked, len(GATES[family]))
    return np.concatenate([parts[index] for index in GATES[family]])


def _add_logits(graph: Graph, x: str, name: str, vocabulary: int) -> None:
    graph.add("Transpose", [x], f"{name}.hidden", perm=[1, 0, 2])
    graph.add("MatMul", [f"{name}.hidden", "head"], name)
    graph.output(name, ["rows", "tokens", vocabulary])
