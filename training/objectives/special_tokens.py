"""The special tokens of a tokenizer: those around the rows of an encoder, and the one in place of hidden tokens.

Read from tokenizer.json itself, without a library, so that `check` can use it too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, read_json
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers import tokenizer_json

# as BERT spells them, and as RoBERTa does: start of a row, end of a text, hidden token
SPELLINGS = (("[CLS]", "[SEP]", "[MASK]"), ("<s>", "</s>", "<mask>"))
# kinds of the tokenizer stage that always have them
KINDS_WITH_SPECIAL_TOKENS = ("wordpiece",)


@dataclass(frozen=True)
class SpecialTokens:
    """Ids. `special`: every id that spells no text, including these three and the end of a document."""

    start: int
    end: int
    mask: int
    end_of_text: int
    special: NDArray[np.int64]
    vocabulary: int

    @property
    def ordinary(self) -> NDArray[np.int64]:
        """The ids that spell text."""
        return np.setdiff1d(np.arange(self.vocabulary), self.special)


def read(path: Path) -> SpecialTokens:
    """The special tokens of a tokenizer.json.

    Raises: UserError when it lacks one.
    """
    tokenizer = read_json(path)
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    spelled = spelling(added)
    if spelled is None:
        raise UserError(f"{path.name}: {_MISSING}")
    special = [token["id"] for token in tokenizer["added_tokens"] if token.get("special")]
    largest = max([*_ids(tokenizer), *added.values()])
    start, end, mask = (added[name] for name in spelled)
    end_of_text = tokenizer_json.end_of_text_id(tokenizer, path.name)
    all_special = np.array(sorted({*special, start, end, mask, end_of_text}), np.int64)
    return SpecialTokens(start, end, mask, end_of_text, all_special, largest + 1)


def spelling(pieces: Collection[str]) -> tuple[str, str, str] | None:
    """The spelling of start, end and mask among these pieces; None if they lack one."""
    return next((names for names in SPELLINGS if all(name in pieces for name in names)), None)


def tokenizer_problem(objective: Component, *, kind: str, specials: Collection[str], path: str | None) -> str | None:
    """Why a tokenizer (the section's options) does not serve a masked objective; None if it does."""
    if objective.name != "masked" or kind in KINDS_WITH_SPECIAL_TOKENS:
        return None
    if kind != "file":
        return None if spelling(specials) else _MISSING
    file = Path(path or "")
    if not file.is_file():
        return None  # the tokenizer's own check reports it
    pieces = [token.get("content") for token in read_json(file).get("added_tokens", [])]
    return None if spelling(pieces) else _MISSING


def added_count(family: str, objective: Component) -> int:
    """The largest number of special tokens that are added to a row."""
    if objective.name == "masked":
        return 2 if objective.options["pairs"] == "none" else 3
    return 2 if family == "bert" else 0


def fingerprint_params(objective: Component) -> dict[str, str | None]:
    """What else decides which tokens are hidden, for the fingerprint: the Unicode tables, and the dictionary of Chinese
    words (None where it is not installed: then the first Chinese row is refused)."""
    options = objective.options
    if objective.name != "masked" or (options["unit"] == "token" and options["pairs"] == "none"):
        return {}
    try:
        segmenter = chinese_words.identity()
    except UserError:
        segmenter = None
    return {"segmenter": segmenter, "unicode": unicode.version()}


def _ids(tokenizer: JsonObject) -> Collection[int]:
    vocabulary = tokenizer["model"]["vocab"]
    # Unigram keeps a list of pieces and scores
    return vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))


_MISSING = (
    "masked prediction needs the pieces [CLS], [SEP] and [MASK]. "
    "Write tokenizer.specials: ['[PAD]', '[CLS]', '[SEP]', '[MASK]'], or tokenizer.kind: wordpiece."
)
