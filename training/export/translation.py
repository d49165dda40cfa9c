"""A saved model as `transformers` has it: config.json and tensors under the library's names. One function a family.

The folder itself (tokenizer, card, checks) is huggingface.py's; a family says only what is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.registry import Entry, Registry
from pipeline.tokenizers import tokenizer_json
from training.objectives import special_tokens

Head = Literal["causal", "masked"]
Read = Callable[[str], Tensor]
"""The tensor of a name in the saved model; read when it is asked for, from a memory-mapped file."""

# what `transformers` calls a special token, and how tokenizers spell it; the end of text is the tokenizer's own
SPELLINGS: dict[str, tuple[str, ...]] = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]",),
    "sep_token": ("[SEP]",),
    "mask_token": ("[MASK]", "<mask>"),
}
# in the order of `special_tokens.SPELLINGS`
FRAME = ("cls_token", "sep_token", "mask_token")


@dataclass(frozen=True)
class Specials:
    """The special tokens of a tokenizer.json by the library's names (`pad_token`): how each is spelled, its id."""

    spelled: Mapping[str, str]
    ids: Mapping[str, int]

    @classmethod
    def read(cls, tokenizer: Path) -> Specials:
        """Text begins, ends and is filled up with the end of text, where the tokenizer has nothing of its own."""
        tree = read_json(tokenizer)
        known, added = tokenizer_json.token_ids(tree), tokenizer_json.added_tokens(tree)
        if (end := tokenizer_json.end_of_text_token(tree)) is None:
            raise StageFailed("export: huggingface: no piece of tokenizer.json ends a text.")
        chosen = dict.fromkeys(("bos_token", "eos_token", "pad_token"), end)
        for name, words in SPELLINGS.items():
            if known_words := [word for word in words if word in added]:
                chosen[name] = known_words[0]
        chosen |= zip(FRAME, special_tokens.spelling(added) or (), strict=False)
        if (unknown := tree["model"].get("unk_token")) in known:
            chosen["unk_token"] = unknown
        return cls(chosen, {name: known[word] for name, word in chosen.items()})

    def config(self, *names: str) -> dict[str, int]:
        """{"pad_token_id": …} for config.json, of those that there are."""
        return {f"{name}_id": self.ids[name] for name in names if name in self.ids}

    def corrected(self, config: Mapping[str, Any]) -> dict[str, int]:
        """The ids of special tokens that `config` names, as they are in this tokenizer."""
        named = (key.removesuffix("_id") for key in config if key.endswith("_token_id"))
        return self.config(*(name for name in named if name in self.ids))


@dataclass(frozen=True)
class Translation:
    """What goes into config.json (`architectures` names the class) and model.safetensors."""

    config: dict[str, Any]
    weights: dict[str, Tensor]


# family → function(saved: config.json of the saved model, read: Read, specials: Specials) -> Translation
TRANSLATIONS: Registry[Any] = Registry(
    "model family with a Hugging Face class",
    (
        Entry("gpt", code="training.export.shapes:translation"),
        Entry("bert", code="training.export.bert:translation"),
        Entry("hf", code="training.export.huggingface:architecture"),
    ),
)


def translation(saved: dict[str, Any], read: Read, specials: Specials) -> Translation:
    """The saved model, translated by its family.

    Raises: StageFailed when no Hugging Face class computes it.
    """
    family = saved["family"]
    if family not in TRANSLATIONS:
        raise StageFailed(f"export: huggingface: no Hugging Face class is a {family}. Write formats: [safetensors].")
    translate: Any = TRANSLATIONS.load(family)
    found: Translation = translate(saved, read, specials)
    return found


def head_of(config: dict[str, Any]) -> Head:
    """What a folder's class predicts: the next token, or hidden ones."""
    return "masked" if str(config["architectures"][0]).endswith("MaskedLM") else "causal"
