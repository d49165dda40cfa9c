"""Our encoder as BertForMaskedLM: config.json, and the weights under the library's names.

The head that tells pairs apart stays behind: that class has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.export.translation import Read, Specials, Translation
from training.models.layers import EPS
from training.models.sections.bert import Bert

# ours and theirs, each with a weight and a bias
PARTS = {
    "embed_norm": "bert.embeddings.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
}
BLOCK = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp.up": "intermediate.dense",
    "mlp.down": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
ALONE = {
    "embed.weight": "bert.embeddings.word_embeddings.weight",
    "positions.weight": "bert.embeddings.position_embeddings.weight",
    "types.weight": "bert.embeddings.token_type_embeddings.weight",
    "bias": "cls.predictions.bias",
}

# the card's words on how it is used
FILLS = """\
A masked language model trained from scratch by Bloomery: it says what stands behind a mask.

```python
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForMaskedLM.from_pretrained(".")
fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
print(fill(f"Your {tokenizer.mask_token} text"))
```
"""


def translation(saved: dict[str, Any], read: Read, specials: Specials) -> Translation:
    """What goes into config.json and model.safetensors."""
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
    return Translation(config, {theirs: read(ours) for ours, theirs in names(options.layers)})


def names(layers: int) -> Iterator[tuple[str, str]]:
    """Ours and theirs, of every tensor that is exported."""
    yield from ALONE.items()
    parts = list(PARTS.items())
    for layer in range(layers):
        parts += [(f"blocks.{layer}.{ours}", f"bert.encoder.layer.{layer}.{theirs}") for ours, theirs in BLOCK.items()]
    for ours, theirs in parts:
        for kind in ("weight", "bias"):
            yield f"{ours}.{kind}", f"{theirs}.{kind}"
