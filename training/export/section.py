"""The `export` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from pydantic import Field, model_validator

from pipeline.core.config import Component, Section, component
from pipeline.core.errors import UserError
from pipeline.tokenizers import tokenizer_file
from training import export
from training.families import FAMILIES, supports
from training.models.sections.gpt import Gpt


class Huggingface(Section):
    """A folder that `transformers` loads, offline and without remote code; no options."""


class Safetensors(Section):
    """The saved model unchanged, with its tokenizer and a card: config.json and model.safetensors; no options."""


class Onnx(Section):
    """A graph that `onnxruntime` runs; no options."""


class VectorFiles(Section):
    """The formats of word2vec, as `gensim` loads them: `text`, `binary`, or both."""

    text: bool = True
    binary: bool = True

    @model_validator(mode="after")
    def _at_least_one(self) -> VectorFiles:
        if not (self.text or self.binary):
            raise ValueError("text and binary are both false; leave one of them true")
        return self


if TYPE_CHECKING:
    from typing import TypeAlias

    Format: TypeAlias = Component
else:
    Format = component(export.FORMATS)


def _default_formats(*names: str) -> list[Format]:
    """Names, which are validated as a user's are, so that their own options are filled in."""
    return cast("list[Format]", list(names))


class Export(Section):
    """Each format gets a folder of its own name."""

    formats: list[Format] = Field(default=_default_formats("huggingface"), min_length=1)


def shape_problem(section: Export, model: Component) -> str | None:
    """Why a model (`pretrain.model`) cannot be exported in one of the formats; None if it can be."""
    if model.name not in FAMILIES:
        return None
    family = FAMILIES[model.name]
    names = [component.name for component in section.formats]
    if unavailable := [name for name in names if not supports(family, "formats", name)]:
        return (
            f"a {model.name} is not exported as {unavailable[0]}. Write export.formats: [{', '.join(family.formats)}]."
        )
    if model.name != "gpt" or "huggingface" not in names:
        return None
    options = Gpt.model_validate(model.options)
    return None if options.exports_as else refusal(options)


def tokenizer_problem(section: Export, *, kind: str, path: str | None) -> str | None:
    """Why a format cannot carry a tokenizer (`tokenizer.kind`, `tokenizer.path`); None if it can.

    A tokenizer.json can split text at white space, not into words as the kind `word` does: `AutoTokenizer` would give
    other ids.
    """
    is_word = kind == "word" or (kind == "file" and path is not None and _is_word_tokenizer(path))
    if not is_word or all(component.name != "huggingface" for component in section.formats):
        return None
    return (
        "huggingface: transformers cannot split text into words as tokenizer kind word does, and would give the model "
        "other ids. Write tokenizer.kind: bpe or wordpiece, or leave this format out."
    )


def _is_word_tokenizer(path: str) -> bool:
    try:
        model = json.loads(tokenizer_file.read(path).json_text)["model"]
    except UserError:
        return False  # the tokenizer's own section reports it
    return bool(model.get("type") == "WordLevel" and "words" in model)


def refusal(options: Gpt) -> str:
    """The error for a GPT that no Hugging Face class computes."""
    names = ("norm", "positions", "mlp", "qk_norm", "bias", "kv_heads", "logit_cap")
    mixture = ", ".join(f"{name}: {json.dumps(getattr(options, name))}" for name in names)
    return (
        f"no Hugging Face class computes this mixture ({mixture}). Write shape: llama, qwen3 or gpt2 and leave those "
        "out; a llama may have one of mlp: relu2 or gelu, bias, and (without bias) logit_cap; a gpt2 mlp: relu2."
    )
