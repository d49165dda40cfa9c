"""Our encoder as BertForMaskedLM: config.json, and the weights under the library's names.

The next-sentence head is not exported: that class has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.export.translation import HubSpecials, ReadTensor, Translation
from training.models.base import SavedConfig
from training.models.layers import EPS
from training.models.sections.bert import Bert

# our name → the library's; each has a weight and a bias
MODULES = {
    "embed_norm": "bert.embeddings.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
}
BLOCK_MODULES = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp.up": "intermediate.dense",
    "mlp.down": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
TENSORS = {
    "embed.weight": "bert.embeddings.word_embeddings.weight",
    "positions.weight": "bert.embeddings.position_embeddings.weight",
    "types.weight": "bert.embeddings.token_type_embeddings.weight",
    "bias": "cls.predictions.bias",
}

# the part of the card on how to use the model
FILL_MASK_USE = """\
A masked language model trained from scratch by Bloomery: it says what stands behind a mask.

```python
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForMaskedLM.from_pretrained(".")
fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
print(fill(f"Your {tokenizer.mask_token} text"))
```
"""


def translation(saved: SavedConfig, read: ReadTensor, specials: HubSpecials) -> Translation:
    """The config and weights of BertForMaskedLM."""
    options = Bert.model_validate(saved["options"])
    config = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "dtype": "float32",
        "vocab_size": saved["vocabulary"],
        "hidden_size": options.width,
        "intermediate_size": options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "max_position_embeddings": saved["context"],
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": EPS,
        "hidden_dropout_prob": options.dropout,
        "attention_probs_dropout_prob": options.dropout,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        **specials.config("bos_token", "eos_token", "pad_token"),
    }
    return Translation(config, {theirs: read(ours) for ours, theirs in tensor_names(options.layers)})


def tensor_names(layers: int) -> Iterator[tuple[str, str]]:
    """Our name and the library's, of every tensor that is exported."""
    yield from TENSORS.items()
    modules = list(MODULES.items())
    for n in range(layers):
        modules += [
            (f"blocks.{n}.{ours}", f"bert.encoder.layer.{n}.{theirs}") for ours, theirs in BLOCK_MODULES.items()
        ]
    for ours, theirs in modules:
        for parameter in ("weight", "bias"):
            yield f"{ours}.{parameter}", f"{theirs}.{parameter}"
