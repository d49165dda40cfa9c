"""A recurrent model as an ONNX graph, run with `onnxruntime` on held-out rows before it is published.

Inputs: `tokens` (rows, tokens; any number of both) and, for rnn, lstm and gru, the initial state: `state.N.h`, and
`state.N.c` for lstm; zeros at the beginning of a text. Outputs: `logits` and the final state (`after.N.h` …), so that a
text can be read in any number of calls. A bilstm takes the `lengths` of its rows instead of a state, and returns
`layers`, `onward` and `back`. Memory: three times the weights; 2 GB of them or more are refused (protobuf's limit).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing
from pipeline.tokenizers.base import END_OF_TEXT
from training.export import recurrent, tokenizer_files
from training.export.base import ExportSource, Format
from training.export.onnx_nodes import serialize_graph
from training.models.base import Model
from training.models.bilstm import Bilstm
from training.models.saved import CONFIG, load, read_weights

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FILE = "model.onnx"
MAX_BYTES = (1 << 31) - (1 << 20)

Outputs = dict[str, recurrent.OutputPair]
"""Name of an output → what the graph computes, and what the saved model computes."""


class Onnx(Format):
    """See the module."""

    name = "onnx"

    def write(self, source: ExportSource, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        config = recurrent.recurrent_config(source, self.name)
        weights = {name: tensor.numpy() for name, tensor in read_weights(source.model).items()}
        if sum(array.nbytes for array in weights.values()) >= MAX_BYTES:
            raise StageFailed(
                "export: onnx: the weights take 2 GB or more, which one ONNX file cannot hold. "
                "Write export.formats: [safetensors]."
            )
        with replacing(folder / FILE) as temporary:
            temporary.write_bytes(serialize_graph(config, weights))
        names = [FILE, recurrent.copy(source.model / CONFIG, folder)]
        names.append(tokenizer_files.write_causal(source.tokenizer, folder))
        use = BIDIRECTIONAL_USE if config["family"] == "bilstm" else FORWARD_USE
        return [*names, recurrent.write_card(source, folder, use=use, library="onnx")]

    def check(self, source: ExportSource, folder: Path) -> None:
        try:
            session = _session(folder / FILE)
            outputs_of_rows = [_run(session, load(source.model), row) for row in recurrent.comparison_rows(source)]
        except Exception as error:  # whatever error a user would see, reported in one sentence
            raise StageFailed(f"export: onnx: onnxruntime does not run the graph ({error}).") from error
        for outputs in outputs_of_rows:
            recurrent.compare(self.name, outputs)


def _session(path: Path) -> InferenceSession:
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run(session: InferenceSession, model: Model, row: recurrent.TokenMatrix) -> Outputs:
    """The outputs of the graph for a row (1, T), and those of the model."""
    return _run_bidirectional(session, model, row) if isinstance(model, Bilstm) else _run_forward(session, model, row)


def _run_forward(session: InferenceSession, model: Model, row: recurrent.TokenMatrix) -> Outputs:
    """The row in one call, in two calls that pass the state on, and together with another row."""
    ours = recurrent.logits(model, row)[0]
    zeros = _zero_state(session, 1)
    logits, *final_state = session.run(None, {"tokens": row, **zeros})
    outputs: Outputs = {"logits": (logits, ours)}
    two_rows = np.concatenate([row, row[:, ::-1]])
    logits_of_two = session.run(["logits"], {"tokens": two_rows, **_zero_state(session, 2)})[0]
    outputs["logits of two rows"] = (logits_of_two, recurrent.logits(model, two_rows)[0])
    cut = row.shape[1] // 2
    if cut:
        first, *state = session.run(None, {"tokens": row[:, :cut], **zeros})
        second, *last_state = session.run(None, {"tokens": row[:, cut:], **dict(zip(zeros, state, strict=True))})
        outputs["logits in two calls"] = (np.concatenate([first, second], axis=1), ours)
        states = zip(last_state, final_state, strict=True)
        outputs |= {f"states {n} in two calls": arrays for n, arrays in enumerate(states)}
    return outputs


def _run_bidirectional(session: InferenceSession, model: Bilstm, row: recurrent.TokenMatrix) -> Outputs:
    """The row in full and cut to half its length, in one call."""
    lengths = np.array([row.shape[1], max(1, row.shape[1] // 2)], np.int64)
    layers, forward, backward = session.run(None, {"tokens": np.concatenate([row, row]), "lengths": lengths})
    outputs: Outputs = {}
    for b, length in enumerate(lengths.tolist()):
        tokens = row[:, :length]
        with torch.inference_mode():
            our_layers = model.layers(torch.from_numpy(tokens))[:, 0]
        outputs[f"layers of {length} tokens"] = (layers[:, b, :length], our_layers)
        for theirs, ours in zip((forward, backward), recurrent.logits(model, tokens), strict=True):
            outputs[f"logits {len(outputs)} of {length} tokens"] = (theirs[b, :length], ours[0])
    return outputs


def _zero_state(session: InferenceSession, rows: int) -> dict[str, NDArray[np.float32]]:
    """The state at the beginning of a text."""
    states = [node for node in session.get_inputs() if node.name != "tokens"]
    return {state.name: np.zeros((1, rows, state.shape[2]), np.float32) for state in states}


_LOADING = """\
A language model trained from scratch by Bloomery.

```python
import numpy as np, onnxruntime
from tokenizers import Tokenizer

tokenizer, session = Tokenizer.from_file("tokenizer.json"), onnxruntime.InferenceSession("model.onnx")
tokens = np.array([[tokenizer.token_to_id("<|endoftext|>"), *tokenizer.encode("Your text").ids]])
"""

FORWARD_USE = f"""{_LOADING}state = {{
    one.name: np.zeros((1, 1, one.shape[2]), np.float32) for one in session.get_inputs() if one.name != "tokens"
}}
for _ in range(20):
    logits, *after = session.run(None, {{"tokens": tokens, **state}})
    state, tokens = dict(zip(state, after)), logits[:, -1:].argmax(-1)
    print(tokenizer.decode(tokens[0]), end="")
```

Documents end with `{END_OF_TEXT}`: put it before a prompt that is the beginning of a document.
"""

BIDIRECTIONAL_USE = f"""{_LOADING}lengths = np.array([tokens.shape[1]])
layers, onward, back = session.run(None, {{"tokens": tokens, "lengths": lengths}})
print(layers.shape)  # layers + 1, rows, tokens, 2 × width: a vector a layer for every token in its context
```

`onward` and `back` are the scores of the token after each, and before it. Documents end with `{END_OF_TEXT}`.
"""
