"""The `export` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from pipeline.core.config import Component, Section, component
from pipeline.core.errors import UserError
from pipeline.tokenizers import tokenizer_file
from training import export, models
from training.families import FAMILIES, admits


class Huggingface(Section):
    """A folder that `transformers` loads, offline and without remote code; no options."""


class Safetensors(Section):
    """The saved model as it is, with its tokenizer and a card: config.json and model.safetensors; no options."""


class Onnx(Section):
    """A graph that `onnxruntime` runs; no options."""


class Vectors(Section):
    """The formats of word2vec, as `gensim` loads them: `text`, `binary`, or both."""

    text: bool = True
    binary: bool = True

    @model_validator(mode="after")
    def _one_at_least(self) -> Vectors:
        if not (self.text or self.binary):
            raise ValueError("text and binary are both false; leave one of them true")
        return self


if TYPE_CHECKING:
    from typing import TypeAlias

    Format: TypeAlias = Component
else:
    Format = component(export.FORMATS)


def _named(*names: str) -> Any:
    """Defaults that are validated like a user's words, so that their own options are filled in."""
    return list(names)


class Export(Section):
    """Each format gets a folder of its own name."""

    formats: list[Format] = Field(default=_named("huggingface"), min_length=1)


def shape_problem(section: Export, model: Component) -> str | None:
    """Why a model (`pretrain.model`) cannot be exported in one of the formats; None if it can."""
    if model.name not in FAMILIES:
        return None
    family = FAMILIES[model.name]
    if wrong := [one.name for one in section.formats if not admits(family, "formats", one.name)]:
        return f"a {model.name} is not exported as {wrong[0]}. Write export.formats: [{', '.join(family.formats)}]."
    if model.name != "gpt" or all(one.name != "huggingface" for one in section.formats):
        return None
    options: Any = models.FAMILIES.section(model.name).model_validate(model.options)
    return None if options.exports_as else refusal(options)


def tokenizer_problem(section: Export, *, kind: str, path: str | None) -> str | None:
    """Why a format cannot carry a tokenizer (`tokenizer.kind`, `tokenizer.path`); None if it can.

    A tokenizer.json can split text at white space, not into words as the kind `word` does: `AutoTokenizer` would give
    other ids.
    """
    reads_words = kind == "word" or (kind == "file" and path is not None and _reads_words(path))
    if not reads_words or all(one.name != "huggingface" for one in section.formats):
        return None
    return (
        "huggingface: transformers cannot split text into words as tokenizer kind word does, and would give the model "
        "other ids. Write tokenizer.kind: bpe or wordpiece, or leave this format out."
    )


def _reads_words(path: str) -> bool:
    try:
        model = json.loads(tokenizer_file.read(path).json_text)["model"]
    except UserError:
        return False  # told by the tokenizer's own section
    return bool(model.get("type") == "WordLevel" and "words" in model)


def refusal(options: Any) -> str:
    """What is said of a GPT that no Hugging Face class computes."""
    named = ("norm", "positions", "mlp", "qk_norm", "bias", "kv_heads", "logit_cap")
    mixture = ", ".join(f"{name}: {json.dumps(getattr(options, name))}" for name in named)
    return (
        f"no Hugging Face class computes this mixture ({mixture}). Write shape: llama, qwen3 or gpt2 and leave those "
        "out; a llama may have one of mlp: relu2 or gelu, bias, and (without bias) logit_cap; a gpt2 mlp: relu2."
    )
