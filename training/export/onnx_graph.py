"""A recurrent model as an ONNX graph, run by `onnxruntime` on held-out rows before it counts.

In: `tokens` (rows, tokens; both may be any number) and, for rnn, lstm and gru, the state before: `state.N.h`, and
`state.N.c` for lstm; zeros at a beginning. Out: `logits` and the state after (`after.N.h` …), so that a text may come
in any number of calls. A bilstm takes the `lengths` of its rows in place of a state, and gives `layers`, `onward` and
`back`. Memory: the weights three times; 2 GB of them or more are refused (protobuf's limit).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing
from pipeline.tokenizers.base import END_OF_TEXT
from training.export import recurrent, tokenizer_files
from training.export.base import Format, Source
from training.export.onnx_nodes import graph_of
from training.models.base import Model
from training.models.bilstm import Bilstm
from training.models.saved import CONFIG, load, read_weights

FILE = "model.onnx"
MOST_BYTES = (1 << 31) - (1 << 20)

Pairs = dict[str, tuple[Any, Any]]


class Onnx(Format):
    """See the module."""

    name = "onnx"

    def write(self, source: Source, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        config = recurrent.described(source, self.name)
        weights = {name: tensor.numpy() for name, tensor in read_weights(source.model).items()}
        if sum(array.nbytes for array in weights.values()) >= MOST_BYTES:
            raise StageFailed(
                "export: onnx: the weights take 2 GB or more, which one ONNX file cannot hold. "
                "Write export.formats: [safetensors]."
            )
        with replacing(folder / FILE) as beside:
            beside.write_bytes(graph_of(config, weights))
        names = [FILE, recurrent.copy(source.model / CONFIG, folder)]
        names.append(tokenizer_files.write_plain(source.tokenizer, folder))
        use = BOTH_WAYS if config["family"] == "bilstm" else ONWARD
        return [*names, recurrent.write_card(source, folder, use=use, library="onnx")]

    def check(self, source: Source, folder: Path) -> None:
        try:
            session = _session(folder / FILE)
            found = [_look(session, load(source.model), row) for row in recurrent.rows(source)]
        except Exception as error:  # whatever stops a user stops us, in one sentence
            raise StageFailed(f"export: onnx: onnxruntime does not run the graph ({error}).") from error
        for pairs in found:
            recurrent.compare(self.name, pairs)


def _session(path: Path) -> Any:
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _look(session: Any, model: Model, row: recurrent.Rows) -> Pairs:
    """What the graph says to a row (1, T) beside what the model says."""
    return _both_ways(session, model, row) if isinstance(model, Bilstm) else _onward(session, model, row)


def _onward(session: Any, model: Model, row: recurrent.Rows) -> Pairs:
    """The row whole, in two calls with the state between, and beside another."""
    ours, twice = recurrent.logits(model, row)[0], np.concatenate([row, row[:, ::-1]])
    zeros, cut = _zeros(session, 1), row.shape[1] // 2
    whole, *after = session.run(None, {"tokens": row, **zeros})
    found: Pairs = {"logits": (whole, ours)}
    two = session.run(["logits"], {"tokens": twice, **_zeros(session, 2)})[0]
    found["logits of two rows"] = (two, recurrent.logits(model, twice)[0])
    if cut:
        first, *state = session.run(None, {"tokens": row[:, :cut], **zeros})
        second, *last = session.run(None, {"tokens": row[:, cut:], **dict(zip(zeros, state, strict=True))})
        found["logits in two calls"] = (np.concatenate([first, second], axis=1), ours)
        found |= {f"states {n} in two calls": pair for n, pair in enumerate(zip(last, after, strict=True))}
    return found


def _both_ways(session: Any, model: Bilstm, row: recurrent.Rows) -> Pairs:
    """The row whole and cut short, at once."""
    lengths = np.array([row.shape[1], max(1, row.shape[1] // 2)], np.int64)
    layers, onward, back = session.run(None, {"tokens": np.concatenate([row, row]), "lengths": lengths})
    found: Pairs = {}
    for at, count in enumerate(lengths.tolist()):
        counted = row[:, :count]
        with torch.inference_mode():
            found[f"layers of {count} tokens"] = (layers[:, at, :count], model.layers(torch.from_numpy(counted))[:, 0])
        for theirs, ours in zip((onward, back), recurrent.logits(model, counted), strict=True):
            found[f"logits {len(found)} of {count} tokens"] = (theirs[at, :count], ours[0])
    return found


def _zeros(session: Any, rows: int) -> dict[str, NDArray[np.float32]]:
    """The state at the beginning of a text."""
    given = {one.name: one.shape for one in session.get_inputs() if one.name != "tokens"}
    return {name: np.zeros((1, rows, shape[2]), np.float32) for name, shape in given.items()}


_OPEN = """\
A language model trained from scratch by Bloomery.

```python
import numpy as np, onnxruntime
from tokenizers import Tokenizer

tokenizer, session = Tokenizer.from_file("tokenizer.json"), onnxruntime.InferenceSession("model.onnx")
tokens = np.array([[tokenizer.token_to_id("<|endoftext|>"), *tokenizer.encode("Your text").ids]])
"""

ONWARD = f"""{_OPEN}state = {{
    one.name: np.zeros((1, 1, one.shape[2]), np.float32) for one in session.get_inputs() if one.name != "tokens"
}}
for _ in range(20):
    logits, *after = session.run(None, {{"tokens": tokens, **state}})
    state, tokens = dict(zip(state, after)), logits[:, -1:].argmax(-1)
    print(tokenizer.decode(tokens[0]), end="")
```

Documents end with `{END_OF_TEXT}`: put it before a prompt that is the beginning of a document.
"""

BOTH_WAYS = f"""{_OPEN}lengths = np.array([tokens.shape[1]])
layers, onward, back = session.run(None, {{"tokens": tokens, "lengths": lengths}})
print(layers.shape)  # layers + 1, rows, tokens, 2 × width: a vector a layer for every token in its context
```

`onward` and `back` are the scores of the token after each, and before it. Documents end with `{END_OF_TEXT}`.
"""
