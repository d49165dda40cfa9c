"""A recurrent model as it was saved, with its tokenizer and a card that shows how to load it with PyTorch alone.

Its users need only `torch` and `safetensors`: the check builds nn.RNN, nn.LSTM or nn.GRU from the file, as the card
does, and compares logits. The files are copied unchanged.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.core.errors import StageFailed
from pipeline.tokenizers.base import END_OF_TEXT
from training.export import recurrent, tokenizer_files
from training.export.base import ExportSource, Format
from training.models.base import SavedConfig
from training.models.saved import CONFIG, WEIGHTS, load, read_config

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
LAYERS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "bilstm": nn.LSTM,
}


class Safetensors(Format):
    """See the module."""

    name = "safetensors"

    def write(self, source: ExportSource, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        family = recurrent.recurrent_config(source, self.name)["family"]
        names = [recurrent.copy(path, folder) for path in (source.model / CONFIG, source.model / WEIGHTS)]
        names.append(tokenizer_files.write_causal(source.tokenizer, folder))
        use = BIDIRECTIONAL_USE if family == "bilstm" else FORWARD_USE.replace("LSTM", LAYERS[family].__name__)
        return [*names, recurrent.write_card(source, folder, use=use, library="pytorch")]

    def check(self, source: ExportSource, folder: Path) -> None:
        config = read_config(folder)
        rows = recurrent.comparison_rows(source)
        try:
            weights = load_file(folder / WEIGHTS)
            with torch.inference_mode():
                theirs = [pytorch_logits(config, weights, torch.from_numpy(row)) for row in rows]
        except Exception as error:  # whatever error a user would see, reported in one sentence
            raise StageFailed(f"export: safetensors: the folder does not load as its card says ({error}).") from error
        model = load(source.model)
        for row, their_logits in zip(rows, theirs, strict=True):
            our_logits = torch.stack(recurrent.logits(model, row))
            recurrent.compare(self.name, {"logits": (torch.stack(their_logits), our_logits)})


def pytorch_logits(config: SavedConfig, weights: dict[str, Tensor], tokens: Tensor) -> list[Tensor]:
    """The logits of each direction by PyTorch's own modules. tokens: B, T."""
    x = weights["embed.weight"][tokens]
    head = weights.get("head.weight", weights["embed.weight"])
    if config["family"] != "bilstm":
        return [_last_layer(config, weights, "layers", x) @ head.t()]
    forward = _last_layer(config, weights, "onward", x)
    backward = _last_layer(config, weights, "back", x.flip(1)).flip(1)
    return [forward @ head.t(), backward @ head.t()]


def _last_layer(config: SavedConfig, weights: dict[str, Tensor], stack: str, x: Tensor) -> Tensor:
    """The outputs of the last layer of a stack. x: B, T, C, in the order in which it is read."""
    for n in range(config["options"]["layers"]):
        parameters = {name: weights[f"{stack}.{n}.{name}"] for name in PARAMETERS}
        layer = LAYERS[config["family"]](
            parameters["weight_ih"].shape[1], parameters["weight_hh"].shape[1], batch_first=True
        )
        layer.load_state_dict({f"{name}_l0": value for name, value in parameters.items()})
        outputs, _ = layer(x)
        x = outputs + x if config["family"] == "bilstm" and n else outputs
    return x


_LOADING = """\
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

_PARAMETERS = '("weight_ih", "weight_hh", "bias_ih", "bias_hh")'

FORWARD_USE = f"""{_LOADING.rstrip()}
for n in range(config["options"]["layers"]):
    own = {{name: weights[f"layers.{{n}}.{{name}}"] for name in {_PARAMETERS}}}
    layer = torch.nn.LSTM(own["weight_ih"].shape[1], own["weight_hh"].shape[1])
    layer.load_state_dict({{f"{{name}}_l0": value for name, value in own.items()}})
    x, state = layer(x)  # state: give it to the same layer with the text that comes next
scores = x @ head.T
print(tokenizer.decode([scores[-1].argmax().item()]))
```

Documents end with `{END_OF_TEXT}`: put it before a prompt that is the beginning of a document.
"""

BIDIRECTIONAL_USE = f"""{_LOADING}def read(x, direction):
    for n in range(config["options"]["layers"]):
        own = {{name: weights[f"{{direction}}.{{n}}.{{name}}"] for name in {_PARAMETERS}}}
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
