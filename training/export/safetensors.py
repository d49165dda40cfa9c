"""A recurrent model as it was saved, with its tokenizer and a card that tells how PyTorch alone reads it.

Its consumer is anyone with `torch` and `safetensors`: the check builds nn.RNN, nn.LSTM or nn.GRU from the file, as the
card says, and compares logits. Files are copied as they are, so nothing can differ but the reading.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.tokenizers.base import END_OF_TEXT
from training.export import recurrent, tokenizer_files
from training.export.base import Format, Source
from training.models.saved import CONFIG, WEIGHTS, load

PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
LAYERS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU, "bilstm": nn.LSTM}


class Safetensors(Format):
    """See the module."""

    name = "safetensors"

    def write(self, source: Source, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        family = recurrent.described(source, self.name)["family"]
        names = [recurrent.copy(path, folder) for path in (source.model / CONFIG, source.model / WEIGHTS)]
        names.append(tokenizer_files.write_plain(source.tokenizer, folder))
        use = BOTH_WAYS if family == "bilstm" else ONWARD.replace("LSTM", LAYERS[family].__name__)
        return [*names, recurrent.write_card(source, folder, use=use, library="pytorch")]

    def check(self, source: Source, folder: Path) -> None:
        config, rows = read_json(folder / CONFIG), recurrent.rows(source)
        try:
            weights = load_file(folder / WEIGHTS)
            with torch.inference_mode():
                theirs = [librarys_logits(config, weights, torch.from_numpy(row)) for row in rows]
        except Exception as error:  # whatever stops a user stops us, in one sentence
            raise StageFailed(f"export: safetensors: the folder is not read as its card says ({error}).") from error
        model = load(source.model)
        for row, found in zip(rows, theirs, strict=True):
            recurrent.compare(self.name, {"logits": (torch.stack(found), torch.stack(recurrent.logits(model, row)))})


def librarys_logits(config: dict[str, Any], weights: dict[str, Tensor], tokens: Tensor) -> list[Tensor]:
    """The logits of each direction by PyTorch's own modules. tokens: B, T."""
    x = weights["embed.weight"][tokens]
    head = weights.get("head.weight", weights["embed.weight"])
    if config["family"] != "bilstm":
        return [_said(config, weights, "layers", x) @ head.t()]
    onward, back = _said(config, weights, "onward", x), _said(config, weights, "back", x.flip(1)).flip(1)
    return [onward @ head.t(), back @ head.t()]


def _said(config: dict[str, Any], weights: dict[str, Tensor], stack: str, x: Tensor) -> Tensor:
    """What the last layer of a stack says. x: B, T, C, in the order it is read."""
    for n in range(config["options"]["layers"]):
        own = {name: weights[f"{stack}.{n}.{name}"] for name in PARTS}
        layer = LAYERS[config["family"]](own["weight_ih"].shape[1], own["weight_hh"].shape[1], batch_first=True)
        layer.load_state_dict({f"{name}_l0": value for name, value in own.items()})
        said, _ = layer(x)
        x = said + x if config["family"] == "bilstm" and n else said
    return x


_OPEN = """\
A language model trained from scratch by Bloomery.

```python
import json, torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

config, weights = json.load(open("config.json")), load_file("model.safetensors")
tokenizer = Tokenizer.from_file("tokenizer.json")
tokens = [tokenizer.token_to_id("<|endoftext|>"), *tokenizer.encode("Your text").ids]
x = weights["embed.weight"][tokens]
head = weights.get("head.weight", weights["embed.weight"])


"""

_PARTS = '("weight_ih", "weight_hh", "bias_ih", "bias_hh")'

ONWARD = f"""{_OPEN.rstrip()}
for n in range(config["options"]["layers"]):
    own = {{name: weights[f"layers.{{n}}.{{name}}"] for name in {_PARTS}}}
    layer = torch.nn.LSTM(own["weight_ih"].shape[1], own["weight_hh"].shape[1])
    layer.load_state_dict({{f"{{name}}_l0": value for name, value in own.items()}})
    x, state = layer(x)  # state: give it to the same layer with the text that comes next
scores = x @ head.T
print(tokenizer.decode([scores[-1].argmax().item()]))
```

Documents end with `{END_OF_TEXT}`: put it before a prompt that is the beginning of a document.
"""

BOTH_WAYS = f"""{_OPEN}def read(x, direction):
    for n in range(config["options"]["layers"]):
        own = {{name: weights[f"{{direction}}.{{n}}.{{name}}"] for name in {_PARTS}}}
        layer = torch.nn.LSTM(own["weight_ih"].shape[1], own["weight_hh"].shape[1])
        layer.load_state_dict({{f"{{name}}_l0": value for name, value in own.items()}})
        x = layer(x)[0] + (x if n else 0)  # from the second layer on each adds to what it read
    return x


onward, back = read(x, "onward"), read(x.flip(0), "back").flip(0)
scores_of_the_next, scores_of_the_one_before = onward @ head.T, back @ head.T
meanings = torch.cat([onward, back], dim=-1)  # of each token in its context, by the last layer
print(meanings.shape)
```

Documents end with `{END_OF_TEXT}`.
"""
