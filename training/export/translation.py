"""A saved model in the terms of `transformers`: config.json, and tensors under its names. One function a family.

huggingface.py writes and checks the rest of the folder: tokenizer, card, logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, read_json
from pipeline.core.registry import Entry, Registry
from pipeline.tokenizers import tokenizer_json
from training.models.base import SavedConfig
from training.objectives import special_tokens

LmHead = Literal["causal", "masked"]
"""Predicts the next token, or hidden ones: AutoModelForCausalLM or AutoModelForMaskedLM."""
ReadTensor = Callable[[str], Tensor]
"""The tensor of a name in the saved model, read on demand from a memory-mapped file."""

# the name of a special token in `transformers` → its spellings in tokenizers; the end of text is read from each
SPELLINGS: dict[str, tuple[str, ...]] = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]",),
    "sep_token": ("[SEP]",),
    "mask_token": ("[MASK]", "<mask>"),
}
# in the order of `special_tokens.SPELLINGS`
MASKED_TOKENS = ("cls_token", "sep_token", "mask_token")


@dataclass(frozen=True)
class HubSpecials:
    """The special tokens of a tokenizer.json by the names of `transformers` (`pad_token`): spelling and id of each."""

    spelled: Mapping[str, str]
    ids: Mapping[str, int]

    @classmethod
    def read(cls, tokenizer: Path) -> HubSpecials:
        """Text begins, ends and is padded with the end of text, where the tokenizer has no token of its own for it."""
        tree = read_json(tokenizer)
        ids = tokenizer_json.token_ids(tree)
        added = tokenizer_json.added_tokens(tree)
        end = tokenizer_json.end_of_text_token(tree)
        if end is None:
            raise StageFailed("export: huggingface: no piece of tokenizer.json ends a text.")
        spelled = dict.fromkeys(("bos_token", "eos_token", "pad_token"), end)
        for name, spellings in SPELLINGS.items():
            if present := [spelling for spelling in spellings if spelling in added]:
                spelled[name] = present[0]
        spelled |= zip(MASKED_TOKENS, special_tokens.spelling(added) or (), strict=False)
        unknown = tree["model"].get("unk_token")
        if unknown in ids:
            spelled["unk_token"] = unknown
        return cls(spelled, {name: ids[token] for name, token in spelled.items()})

    def config(self, *names: str) -> dict[str, int]:
        """{"pad_token_id": …} for config.json, for those names that the tokenizer has."""
        return {f"{name}_id": self.ids[name] for name in names if name in self.ids}

    def corrected(self, config: JsonObject) -> dict[str, int]:
        """The keys of special tokens in `config`, with the ids of this tokenizer."""
        return self.config(*(key.removesuffix("_id") for key in config if key.endswith("_token_id")))


@dataclass(frozen=True)
class Translation:
    """The contents of config.json (`architectures` names the class) and model.safetensors."""

    config: JsonObject
    weights: dict[str, Tensor]


class Translate(Protocol):
    """The function of a family. `saved`: config.json of the saved model.

    Raises: StageFailed when no Hugging Face class computes the model.
    """

    def __call__(self, saved: SavedConfig, read: ReadTensor, specials: HubSpecials) -> Translation: ...


TRANSLATIONS: Registry[object] = Registry(
    "model family with a Hugging Face class",
    (
        Entry("gpt", code="training.export.shapes:translation"),
        Entry("bert", code="training.export.bert:translation"),
        Entry("hf", code="training.export.huggingface:architecture"),
    ),
)


def translation(saved: SavedConfig, read: ReadTensor, specials: HubSpecials) -> Translation:
    """The saved model, translated by its family.

    Raises: StageFailed when no Hugging Face class computes it.
    """
    family = saved["family"]
    if family not in TRANSLATIONS:
        raise StageFailed(f"export: huggingface: no Hugging Face class is a {family}. Write formats: [safetensors].")
    translate = cast(Translate, TRANSLATIONS.load(family))
    return translate(saved, read, specials)


def head_of(config: JsonObject) -> LmHead:
    """The head of the class that a folder's config.json names."""
    return "masked" if str(config["architectures"][0]).endswith("MaskedLM") else "causal"
