"""The pieces of a tokenizer that stand for no text: what an encoder puts around rows and over hidden tokens.

Read from tokenizer.json itself, without a library, so that `check` can ask too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers import tokenizer_json

# as BERT spells them, and as RoBERTa does: start of a row, end of a text, hidden token
SPELLINGS = (("[CLS]", "[SEP]", "[MASK]"), ("<s>", "</s>", "<mask>"))
# kinds of the tokenizer stage that have them by themselves
WITH_MARKS = ("wordpiece",)


@dataclass(frozen=True)
class Marks:
    """Ids. `special`: every id that stands for no text, these three and the end of a document among them."""

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


def read(path: Path) -> Marks:
    """The marks of a tokenizer.json.

    Raises: UserError when it has none.
    """
    tokenizer = read_json(path)
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    spelled = spelling(added)
    if spelled is None:
        raise UserError(f"{path.name}: {_MISSING}")
    special = [token["id"] for token in tokenizer["added_tokens"] if token.get("special")]
    largest = max([*_vocabulary(tokenizer), *added.values()])
    start, end, mask = (added[name] for name in spelled)
    end_of_text = tokenizer_json.end_of_text_id(tokenizer, path.name)
    unspoken = np.array(sorted({*special, start, end, mask, end_of_text}), np.int64)
    return Marks(start, end, mask, end_of_text, unspoken, largest + 1)


def spelling(pieces: Collection[str]) -> tuple[str, str, str] | None:
    """How these pieces spell the marks; None if they lack one."""
    return next((names for names in SPELLINGS if all(name in pieces for name in names)), None)


def tokenizer_problem(objective: Component, *, kind: str, specials: Collection[str], path: str | None) -> str | None:
    """Why a tokenizer (the section's options) does not serve a masked objective; None if it does, or none is asked."""
    if objective.name != "masked" or kind in WITH_MARKS:
        return None
    if kind != "file":
        return None if spelling(specials) else _MISSING
    file = Path(path or "")
    if not file.is_file():
        return None  # the tokenizer's own check tells
    pieces = [token.get("content") for token in read_json(file).get("added_tokens", [])]
    return None if spelling(pieces) else _MISSING


def added(family: str, objective: Component) -> int:
    """How many marks a row may get."""
    if objective.name == "masked":
        return 2 if objective.options["pairs"] == "none" else 3
    return 2 if family == "bert" else 0


def declared(objective: Component) -> dict[str, str | None]:
    """What else decides which tokens are hidden: the tables of characters, and of Chinese the words' dictionary (None
    where it is not installed: then the first Chinese row is refused). For the fingerprint."""
    options = objective.options
    if objective.name != "masked" or (options["unit"] == "token" and options["pairs"] == "none"):
        return {}
    try:
        segmenter = chinese_words.identity()
    except UserError:
        segmenter = None
    return {"segmenter": segmenter, "unicode": unicode.version()}


def _vocabulary(tokenizer: dict[str, Any]) -> Collection[int]:
    found = tokenizer["model"]["vocab"]
    # Unigram keeps a list of pieces and scores
    return found.values() if isinstance(found, dict) else range(len(found))


_MISSING = (
    "masked prediction needs the pieces [CLS], [SEP] and [MASK]. "
    "Write tokenizer.specials: ['[PAD]', '[CLS]', '[SEP]', '[MASK]'], or tokenizer.kind: wordpiece."
)
